<?php
/**
 * Plugin Name: wsfpm
 * Description: WebSockets for the PHP-FPM pool that runs this site: wsfpm_push() for themes and plugins, and a block that shows how many people read a page.
 * Requires at least: 6.1
 * Requires PHP: 8.1
 * License: MIT
 *
 * One file, in wp-content/plugins: the plugin, and the script that the gateway runs. It needs PHP's redis extension.
 *
 *   [[route]]
 *   path   = "/ws/site"                      # another one: define('WSFPM_PATH', …) in wp-config.php
 *   script = "/var/www/html/wp-content/plugins/wsfpm.php"
 *   accept = "header"                        # no client is let in without WS-Accept
 *   params = { WSFPM_REDIS = "127.0.0.1:6379" }   # WSFPM_REDIS_PASSWORD and WSFPM_REDIS_USER, if it needs them
 *
 *   [presence]
 *   channels = ["page-*"]                    # whose readers are counted
 */

declare(strict_types=1);

if (defined('ABSPATH')) { // WordPress loads the plugin
    add_action('init', 'wsfpm_register');
    add_action('wp_logout', 'wsfpm_logout');
    return;
}
isset($_SERVER['WS_EVENT']) or exit(http_response_code(404)); // opened as a web page: no client can send WS_EVENT

if ($_SERVER['WS_EVENT'] !== 'connect') {
    wsfpm_count(); // without WordPress, whose loading takes far longer than all the rest
    exit;
}
define('WP_USE_THEMES', false);
define('DONOTCACHEPAGE', true); // for cache plugins: this is not a page
// No cron run on the back of a handshake: by a hook, since wp-config.php may define DISABLE_WP_CRON itself.
$wp_filter = ['muplugins_loaded' => [10 => [['function' => fn () => remove_action('init', 'wp_cron'), 'accepted_args' => 0]]]];
require wsfpm_folder() . '/wp-load.php'; // not in a function: plugins expect its variables to be global
wsfpm_is_active() or exit(http_response_code(404));
wsfpm_welcome();

/**
 * Sends data to the pages that are open: to "user:7" (an id of WordPress), "channel:page-12" (readers of a post), "conn:<id>" or "all".
 * A string goes as it is, all else as JSON. A durable message is stored, and reaches who is away on routes with resume = true.
 * Returns whether Redis has it. What is wrong stands in PHP's log: a page must not fail because others cannot be told.
 */
function wsfpm_push(string $to, mixed $data, bool $durable = false): bool
{
    $text = is_string($data) ? $data : json_encode($data, JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES);
    $isAddress = preg_match('/^(?:all|(?:user|channel|conn):(?! )[^\x00-\x1f\x7f-\x{9f},;*]{1,200}(?<! ))$/Du', $to) === 1;
    if (!$isAddress || !is_string($text) || preg_match('//u', $text) !== 1 || $durable && $text === '') {
        error_log('wsfpm_push: want an address, such as "user:7", and data in UTF-8');
        return false;
    }
    $prefix = wsfpm_setting('PREFIX', 'ws:');
    return $durable ? wsfpm_send('XADD', "{$prefix}log", '*', 'to', $to, 'data', $text) : wsfpm_send('PUBLISH', $prefix . $to, $text);
}

/** Ends the connections of a user who logs out: their pages come back as who they are then. Some plugins run the action without a user. */
function wsfpm_logout(mixed $user = 0): void
{
    $close = ['to' => "user:$user", 'close' => ['code' => 4401, 'reason' => 'logged out']];
    is_numeric($user) && $user > 0 && wsfpm_send('PUBLISH', wsfpm_setting('PREFIX', 'ws:') . 'command', json_encode($close));
}

/** Whether Redis has taken a command; else PHP's log has why. */
function wsfpm_send(string ...$command): bool
{
    try {
        $sent = wsfpm_redis()->rawCommand(...$command);
        $sent === false && error_log('wsfpm_push: ' . wsfpm_redis()->getLastError());
    } catch (RedisException|Error $e) { // an Error without the extension
        error_log('wsfpm_push: ' . $e->getMessage());
        return false;
    }
    return $sent !== false;
}

/** A constant of wp-config.php, or a parameter of the gateway's route: WSFPM_REDIS, WSFPM_REDIS_USER, WSFPM_REDIS_PASSWORD, WSFPM_PREFIX, WSFPM_PATH. */
function wsfpm_setting(string $name, string $default): string
{
    return (string) (defined("WSFPM_$name") ? constant("WSFPM_$name") : $_SERVER["WSFPM_$name"] ?? $default);
}

/** A kept connection to the gateway's Redis, HOST:PORT or a socket's path, of this plugin alone. */
function wsfpm_redis(): Redis
{
    static $redis = null;
    if ($redis === null) {
        [$host, $port] = explode(':', wsfpm_setting('REDIS', '127.0.0.1:6379'), 2) + [1 => '0'];
        [$user, $password] = [wsfpm_setting('REDIS_USER', 'default'), wsfpm_setting('REDIS_PASSWORD', '')];
        $new = new Redis();
        $new->pconnect($host, (int) $port, 2.0, "wsfpm $user", 0, 2.0);
        $password === '' || $new->auth([$user, $password]);
        $redis = $new;
    }
    return $redis;
}

/** WordPress's folder: the first above this file with wp-load.php, or WORDPRESS_DIR of the route. */
function wsfpm_folder(): string
{
    $folder = $_SERVER['WORDPRESS_DIR'] ?? __DIR__;
    while (!is_file("$folder/wp-load.php") && $folder !== dirname($folder)) {
        $folder = dirname($folder);
    }
    return $folder;
}

/** Whether WordPress runs this file as a plugin: a deactivated one lets no client in. */
function wsfpm_is_active(): bool
{
    $plugins = [...wp_get_active_and_valid_plugins(), ...wp_get_mu_plugins(), ...(is_multisite() ? wp_get_active_network_plugins() : [])];
    return in_array(__FILE__, array_map('realpath', $plugins), true);
}

/**
 * Lets a reader of a page in, logged in or not. The filter wsfpm_connect gets ['user' => ID or 0, 'join' => channels] and the
 * post, and may return other channels, or a WP_Error, which refuses with its data's status.
 */
function wsfpm_welcome(): void
{
    $post = get_post((int) ($_GET['page'] ?? 0));
    $welcome = new WP_Error('wsfpm', 'There is no such page.', ['status' => 404]);
    if ($post !== null && is_post_publicly_viewable($post) && !post_password_required($post)) {
        $welcome = apply_filters('wsfpm_connect', ['user' => get_current_user_id(), 'join' => ["page-$post->ID"]], $post);
    }
    if (!is_array($welcome)) {
        http_response_code((int) (is_wp_error($welcome) ? $welcome->get_error_data()['status'] ?? 403 : 403));
        exit(is_wp_error($welcome) ? $welcome->get_error_message() : '');
    }
    empty($welcome['user']) || header("WS-User: $welcome[user]");
    if (!empty($welcome['user']) && wp_validate_auth_cookie('', 'logged_in') === (int) $welcome['user']) {
        header('WS-Expires: ' . (int) wp_parse_auth_cookie('', 'logged_in')['expiration']); // the end of the login
    }
    header('WS-Join: ' . implode(', ', $welcome['join']));
    header('WS-Accept: 1');
}

/** Sends the number of a page's readers to all of them, when one asks who is new, and when one has gone. */
function wsfpm_count(): void
{
    $isAsked = $_SERVER['WS_EVENT'] === 'message' && file_get_contents('php://input') === 'count';
    if (!$isAsked && $_SERVER['WS_EVENT'] !== 'disconnect' || preg_match('/(?:^|,)\s*(page-\d+)\s*(?:,|$)/', $_SERVER['WS_CHANNELS'], $m) !== 1) {
        return;
    }
    $key = wsfpm_setting('PREFIX', 'ws:') . "presence:channel:$m[1]";
    [[$seconds, $micros], $readers] = wsfpm_redis()->multi()->time()->hLen($key)->exec();
    header("WS-Publish: channel:$m[1]; fast");
    echo json_encode(['readers' => $readers, 'at' => (int) $seconds * 1_000_000 + (int) $micros]);
}

/** Registers the block "wsfpm/visitors". */
function wsfpm_register(): void
{
    wp_register_script('wsfpm-visitors-editor', false, ['wp-blocks', 'wp-element', 'wp-block-editor'], null, true);
    wp_add_inline_script('wsfpm-visitors-editor', <<<'JS'
    wp.blocks.registerBlockType('wsfpm/visitors', {
      apiVersion: 2, title: 'Readers now (wsfpm)', icon: 'groups', category: 'widgets', save: () => null,
      edit: () => wp.element.createElement('p', wp.blockEditor.useBlockProps(), '3 people read this'),
    })
    JS);
    wp_register_script('wsfpm-visitors', false, [], null, true);
    wp_add_inline_script('wsfpm-visitors', wsfpm_script());
    register_block_type('wsfpm/visitors', ['api_version' => 2, 'editor_script' => 'wsfpm-visitors-editor', 'render_callback' => 'wsfpm_visitors']);
}

/** The block in a page: empty until its socket has the number. */
function wsfpm_visitors(): string
{
    wp_enqueue_script('wsfpm-visitors');
    return sprintf(
        '<p class="wp-block-wsfpm-visitors" aria-live="polite" data-socket="%s" data-one="%s" data-many="%s"></p>',
        esc_attr(add_query_arg('page', (string) get_the_ID(), wsfpm_setting('PATH', '/ws/site'))),
        esc_attr__('You read this alone', 'wsfpm'),
        esc_attr__('%d people read this', 'wsfpm'),
    );
}

/** The page's part, which comes back as docs/contract.md's table of close codes says. */
function wsfpm_script(): string
{
    return <<<'JS'
    for (const shown of document.querySelectorAll('.wp-block-wsfpm-visitors')) {
      let at = 0, bound = 5000
      const open = () => {
        const socket = new WebSocket(new URL(shown.dataset.socket, location.href.replace(/^http/, 'ws')))
        let opened = Infinity
        socket.onopen = () => { opened = Date.now(); socket.send('count') }
        socket.onmessage = ({ data }) => {
          let m = null
          try { m = JSON.parse(data) } catch { return }
          if (!(m?.at > at)) return                      // two counts may overtake each other
          at = m.at
          shown.textContent = m.readers === 1 ? shown.dataset.one : shown.dataset.many.replace('%d', m.readers)
        }
        socket.onclose = ({ code }) => {
          shown.textContent = ''
          if (code === 1000 || code === 1005 || code >= 3000 && code !== 4401 && code !== 4408) return
          const held = Date.now() - opened > 10000
          const most = code === 1001 || code === 1012 ? 500 : held ? 5000 : bound
          bound = held ? 5000 : Math.min(2 * bound, 30000)
          setTimeout(open, code === 1008 ? 30000 + Math.random() * 30000 : Math.random() * most)
        }
      }
      open()
    }
    JS;
}
