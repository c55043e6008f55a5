<?php
// The client of wsfpm.v1, which lies outside of this web folder; your site has a copy of it among its own files.
header('Content-Type: text/javascript; charset=utf-8');
readfile(dirname(__DIR__, 4) . '/client/js/live.js');
