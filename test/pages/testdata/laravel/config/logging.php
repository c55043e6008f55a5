<?php return ['default' => 'err', 'channels' => ['err' => ['driver' => 'errorlog']]];
