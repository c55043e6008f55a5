<?php
// The front door: an ordinary form and an ordinary PHP session. There is no
// password, because this is a demo: any visitor may use any name. A real
// site has its own login; the chat needs only $_SESSION['name'].
declare(strict_types=1);

require dirname(__DIR__) . '/session.php';
beginSession();

$error = '';
$name = '';
if ($_SERVER['REQUEST_METHOD'] === 'POST') {
    $name = is_string($_POST['name'] ?? null) ? trim($_POST['name']) : '';
    if (!formTokenIsRight()) {
        $error = 'The form was too old. Please try again.';
    } elseif (isset($_POST['logout'])) {
        $_SESSION = [];
        session_regenerate_id(true);
        header('Location: index.php', true, 303);
        exit;
    } elseif (!preg_match('/^[\p{L}\p{N}_-]{2,20}$/uD', $name)) {
        $error = 'A name has 2 to 20 letters, digits, - or _.';
    } else {
        session_regenerate_id(true); // the session of a person is never one that was there before
        $_SESSION = ['name' => $name];
        header('Location: room.php', true, 303);
        exit;
    }
} elseif (isset($_SESSION['name'])) {
    header('Location: room.php', true, 303);
    exit;
}

pageHeaders();
?>
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>wsfpm chat</title>
<link rel="icon" href="icon.svg">
<link rel="stylesheet" href="chat.css">
<body class="door">
<main class="card">
  <img src="icon.svg" alt="" width="56" height="56">
  <h1>wsfpm chat</h1>
  <p>Rooms, private messages and who is here: one plain PHP script behind PHP-FPM.</p>
  <form method="post">
    <input type="hidden" name="form" value="<?= html(formToken()) ?>">
    <label for="name">Your name</label>
    <input id="name" name="name" value="<?= html($name) ?>" required minlength="2" maxlength="20" autofocus
           autocomplete="nickname" autocapitalize="none" spellcheck="false"<?= $error ? ' aria-invalid="true" aria-describedby="error"' : '' ?>>
    <?php if ($error): ?><p class="error" id="error" role="alert"><?= html($error) ?></p><?php endif ?>
    <button class="primary">Come in</button>
  </form>
  <p class="small">A demo without passwords: any visitor may use any name.</p>
</main>
