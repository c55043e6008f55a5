<?php
// Installs WordPress with a user, the plugin, a post with its block, and a draft. Prints their ids.
define('WP_INSTALLING', true);
$_SERVER['HTTP_HOST'] = $argv[1];
require __DIR__ . '/wp-load.php';
require_once ABSPATH . 'wp-admin/includes/upgrade.php';
require_once ABSPATH . 'wp-admin/includes/plugin.php';
function wp_mail(): bool // there is no mail here
{
    return true;
}
wp_install('Site', 'ann', 'ann@example.com', true, '', 'secret');
switch_theme('mini');
$error = activate_plugin('wsfpm.php');
if ($error !== null) {
    exit($error->get_error_message());
}
$insert = fn (string $status): int => wp_insert_post(['post_title' => 'Tea', 'post_status' => $status, 'post_author' => 1, 'comment_status' => 'open',
    'post_content' => "<!-- wp:wsfpm/visitors /-->"]);
echo $insert("publish"), " ", $insert("draft");
