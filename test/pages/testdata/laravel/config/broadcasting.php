<?php return ['default' => 'wsfpm', 'connections' => ['wsfpm' => ['driver' => 'wsfpm']]];
