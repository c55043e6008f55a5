<?php return ['default' => 'wsfpm', 'connections' => []];
