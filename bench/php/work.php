<?php
// A script that waits for something, as most do: here 5 ms.
usleep(5000);
echo file_get_contents('php://input');
