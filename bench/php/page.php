<?php
// A page of the site: 5 ms of waiting and 2 KB of text.
usleep(5000);
echo str_repeat('page ', 400);
