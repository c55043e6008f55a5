<?php
// The same answer to a WebSocket message and to a plain POST: the body.
echo file_get_contents('php://input');
