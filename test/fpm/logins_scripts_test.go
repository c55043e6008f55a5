package fpm

// admin is the beginning of these scripts: every accepted client is the administrator.
const admin = "<?php header('WS-User: admin'); "

// included are files that login scripts include.
var included = map[string]string{
	"broken.inc": "<?php this is ( not PHP",
	"throws.inc": "<?php throw new RuntimeException('cannot log in as app');",
	"bom.inc":    "\xEF\xBB\xBF<?php return 1;",
	"blank.inc":  "<?php $bad = true ?>\n\n",
	"twice.inc":  "<?php function twice() {}",
}

// logins are login scripts that refuse everybody, or die before they have
// decided. PHP says 200 for most of them.
var logins = map[string]string{
	"parse_error":                admin + "this is ( not PHP",
	"parse_error_included":       admin + "include __DIR__ . '/broken.inc';",
	"parse_error_in_eval":        admin + "echo 'x'; flush(); eval('this is ( not PHP');",
	"undefined_function":         admin + "check_password();",
	"undefined_function_late":    admin + "echo 'secret'; check_password();",
	"undefined_function_flushed": admin + "echo 'secret'; @ob_flush(); flush(); check_password();",
	"undefined_function_named":   "<?php namespace App\\Login; \\header('WS-User: admin'); echo 'x'; \\flush(); check();",
	"undefined_class":            admin + "echo 'x'; flush(); new Login;",
	"undefined_constant":         admin + "echo 'x'; flush(); echo SECRET;",
	"method_of_null":             admin + "echo 'x'; flush(); $db = null; $db->query('x');",
	"type_error":                 admin + "echo 'x'; flush(); function check(int $x) {} check('admin');",
	"division_by_zero":           admin + "echo 'x'; flush(); echo 1 % 0;",
	"unhandled_match":            admin + "echo 'x'; flush(); echo match ('x') { 'y' => 1 };",
	"exception":                  admin + "throw new Exception('no such user');",
	"exception_late":             admin + "echo 'secret'; throw new Exception('no such user');",
	"exception_flushed":          admin + "echo str_repeat('secret', 20000); @ob_flush(); flush(); throw new Exception('no such user');",
	"exception_of_many_lines":    admin + "echo 'x'; flush(); throw new Exception(\"no\\nsuch\\n\\nuser on line 3\\n\");",
	"exception_of_many_bytes":    admin + "echo 'x'; flush(); throw new Exception(str_repeat('no such user ', 500));",
	"exception_with_a_long_way":  admin + "echo 'x'; flush(); function f($n) { if (!$n) throw new Exception('x'); f($n - 1); } f(50);",
	"exception_with_markup":      admin + "echo 'x'; flush(); throw new Exception('<b>no</b> </td> such & user');",
	"exception_with_log_words":   admin + "echo 'x'; flush(); throw new Exception('no user a in /x on line 3; PHP message: PHP Warning:  b');",
	"exception_after_log_words":  admin + "error_log('a; PHP message: PHP Warning:  b'); echo 'x'; flush(); throw new Exception('no such user');",
	"exception_chain":            admin + "echo 'x'; flush(); throw new Exception('b', 0, new Exception('a'));",
	"exception_included":         admin + "echo 'x'; flush(); require __DIR__ . '/throws.inc';",
	"exception_in_shutdown":      admin + "echo 'x'; flush(); register_shutdown_function(fn() => throw new Exception('x'));",
	"exception_in_destructor":    admin + "echo 'x'; flush(); class L { function __destruct() { throw new Exception('x'); } } new L;",
	"exception_in_generator":     admin + "echo 'x'; flush(); foreach ((function () { yield 1; throw new Exception('x'); })() as $_);",
	"exception_in_fiber":         admin + "echo 'x'; flush(); (new Fiber(fn() => throw new Exception('x')))->start();",
	"exception_in_autoloader":    admin + "echo 'x'; flush(); spl_autoload_register(fn($c) => throw new Exception($c)); new Login;",
	"exception_in_handler":       admin + "echo 'x'; flush(); set_exception_handler(fn($e) => throw new Exception('y')); throw new Exception('x');",
	"exception_of_a_warning":     admin + "echo 'x'; flush(); set_error_handler(fn($n, $m) => throw new ErrorException($m)); echo $undefined;",
	"exception_as_string":        admin + "echo 'x'; flush(); class L { function __toString(): string { throw new Exception('x'); } } echo new L;",
	"exception_in_namespace":     "<?php namespace App; class Denied extends \\Exception {} \\header('WS-User: admin'); echo 'x'; \\flush(); throw new Denied('x');",
	"exception_in_nested_buffer": admin + "ob_start(); ob_start(); echo 'x'; throw new Exception('x');",
	"exception_in_a_callback":    admin + "ob_start(fn($b) => $b); echo 'x'; throw new Exception('x');",
	"missing_require":            admin + "require __DIR__ . '/auth.php';",
	"missing_require_late":       admin + "echo 'x'; flush(); require_once 'nowhere/auth.php';",
	"memory":                     admin + "ini_set('memory_limit', '8M'); $s = str_repeat('x', 1 << 26);",
	"memory_late":                admin + "ini_set('memory_limit', '8M'); echo 'x'; flush(); $s = str_repeat('x', 1 << 26);",
	"endless_recursion":          admin + "ini_set('memory_limit', '8M'); echo 'x'; flush(); function f($a) { return f([$a]); } f(1);",
	"abstract_class":             admin + "echo 'x'; flush(); eval('abstract class A { abstract function f(); } class B extends A {}');",
	"declared_twice":             admin + "echo 'x'; flush(); include __DIR__ . '/twice.inc'; include __DIR__ . '/twice.inc';",
	"user_error":                 admin + "trigger_error('no such user', E_USER_ERROR);",
	"user_error_late":            admin + "echo 'x'; flush(); trigger_error('no such user', E_USER_ERROR);",
	"status_set_first":           admin + "http_response_code(202); check_password();",
	"status_set_at_the_end":      admin + "register_shutdown_function(fn() => http_response_code(200)); check_password();",
	"words_at_the_end":           admin + "register_shutdown_function(function () { http_response_code(200); echo 'done in 3 ms'; }); check_password();",
	"exit_at_the_end":            admin + "register_shutdown_function(function () { http_response_code(200); exit('bye'); }); throw new Exception('x');",
	"log_at_the_end":             admin + "register_shutdown_function(fn() => error_log('bye')); echo 'x'; flush(); throw new Exception('x');",
	"accepted_too_early":         "<?php header('WS-User: admin'); header('WS-Accept: 1'); echo 'x'; flush(); check_password();",
	"html_errors_on":             admin + "ini_set('html_errors', '1'); echo 'x'; flush(); check_password();",
	"html_errors_off":            admin + "ini_set('html_errors', '0'); echo 'x'; flush(); check_password();",
	"display_errors_on":          admin + "ini_set('display_errors', '1'); check_password();",
	"header_with_a_line_feed":    `<?php header("WS-User: admin\nWS-Join: staff"); echo 'x';`,
	"header_too_late":            "<?php echo 'x'; @ob_flush(); flush(); header('WS-User: admin');",
	"cookie_too_late":            admin + "echo 'x'; @ob_flush(); flush(); setcookie('a', 'b'); http_response_code(401);",
	"session_too_late":           admin + "echo 'x'; @ob_flush(); flush(); session_start(); http_response_code(401);",
	"byte_order_mark":            "\xEF\xBB\xBF<?php header_register_callback(fn() => 0); http_response_code(401); exit('log in');",
	"byte_order_mark_included":   "<?php include __DIR__ . '/bom.inc'; http_response_code(401); exit('log in');",
	"blank_lines":                "\n\n<?php http_response_code(401); exit('log in');",
	"blank_lines_included":       admin + "include __DIR__ . '/blank.inc'; http_response_code(401); exit('log in');",
	"warning_first":              admin + "echo $undefined; http_response_code(401); exit('log in');",
	"notice_first":               admin + "trigger_error('x', E_USER_NOTICE); http_response_code(401); exit('log in');",
	"deprecation_first":          admin + "strlen(null); http_response_code(401); exit('log in');",
	"killed":                     admin + "echo 'x'; flush(); posix_kill(posix_getpid(), 9);",
	"plain_refusal":              admin + "http_response_code(403); exit('no');",
	"refused_by_exit":            admin + "header('HTTP/1.1 401 Unauthorized'); exit('no');",
}

// timeouts cost a second of CPU each: PHP counts that, not time.
var timeouts = map[string]string{
	"timeout":      admin + "set_time_limit(1); while (true);",
	"timeout_late": admin + "echo 'x'; flush(); set_time_limit(1); while (true);",
}

// silent are login scripts whose end PHP reports nowhere, or that refuse when
// the client has its answer. Only accept = "header" keeps everybody out, and for
// those that send nothing before they die fastcgi.error_header.
var silent = map[string]struct {
	source string
	sends  bool // something before it dies
}{
	"eaten_by_a_callback":  {admin + "ob_start(fn() => ''); register_shutdown_function(fn() => http_response_code(200)); check_password();", false},
	"eaten_at_the_end":     {admin + "ob_start(); register_shutdown_function(function () { ob_end_clean(); http_response_code(200); }); check_password();", false},
	"error_reporting_0":    {admin + "error_reporting(0); register_shutdown_function(fn() => http_response_code(200)); check_password();", false},
	"log_elsewhere":        {admin + "ini_set('error_log', '/dev/null'); register_shutdown_function(fn() => http_response_code(200)); ob_start(fn() => ''); check_password();", false},
	"exit_255":             {admin + "exit(255);", false},
	"own_output_before":    {"<?php echo 'checking'; @ob_flush(); flush(); http_response_code(401); exit('no');", true},
	"answered_before":      {admin + "fastcgi_finish_request(); check_password();", true},
	"exit_half_way":        {admin + "exit('half way'); http_response_code(401);", true},
	"return_half_way":      {admin + "return; http_response_code(401);", true},
	"status_of_no_refusal": {admin + "http_response_code(299); exit('no');", true},
}
