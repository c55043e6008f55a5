<?php
// The chat page. What it shows comes over the WebSocket; here is only the frame.
declare(strict_types=1);

require dirname(__DIR__) . '/session.php';
beginSession();

$me = $_SESSION['name'] ?? null;
if ($me === null) {
    header('Location: index.php', true, 303);
    exit;
}
pageHeaders();
?>
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1, interactive-widget=resizes-content">
<title>wsfpm chat</title>
<link rel="icon" href="icon.svg">
<link rel="stylesheet" href="chat.css">
<script type="module" src="chat.js"></script>
<body class="chat" data-me="<?= html($me) ?>" data-path="/ws/chat">

<header>
  <button id="menu" class="icon" aria-expanded="false" aria-controls="side" aria-label="Rooms and people">
    <svg viewBox="0 0 24 24" aria-hidden="true"><path d="M4 7h16M4 12h16M4 17h16"/></svg>
  </button>
  <h1><span class="hash" aria-hidden="true">#</span><span id="room">…</span></h1>
  <span id="count"></span>
  <span id="state" role="status" data-state="connecting">Connecting</span>
</header>

<aside id="side">
  <p class="brand"><img src="icon.svg" alt="" width="28" height="28">wsfpm chat</p>
  <section aria-labelledby="rooms-title">
    <h2 id="rooms-title">Rooms</h2>
    <ul id="rooms"></ul>
    <form id="new-room">
      <label class="unseen" for="room-name">Name of the room to open</label>
      <input id="room-name" placeholder="open a room" maxlength="24" autocomplete="off" autocapitalize="none" spellcheck="false" enterkeyhint="go">
      <button class="icon" aria-label="Open the room"><svg viewBox="0 0 24 24" aria-hidden="true"><path d="M12 5v14M5 12h14"/></svg></button>
    </form>
  </section>
  <section aria-labelledby="people-title">
    <h2 id="people-title">Here now</h2>
    <ul id="people"></ul>
  </section>
  <form id="logout" method="post" action="index.php">
    <input type="hidden" name="form" value="<?= html(formToken()) ?>">
    <span>You are <b><?= html($me) ?></b></span>
    <button name="logout" value="1">Log out</button>
  </form>
</aside>
<div id="shade" hidden></div>

<main>
  <div id="banner" hidden><span id="banner-text"></span><button id="retry">Try now</button></div>
  <ol id="log" role="log" aria-live="polite" aria-label="Messages" tabindex="0"></ol>
  <button id="newer" hidden>New messages ↓</button>
  <p id="typing" aria-live="off"></p>
  <form id="composer">
    <p id="private" hidden>Private message to <b id="to"></b><button type="button" id="public" class="icon" aria-label="Write to the room again"><svg viewBox="0 0 24 24" aria-hidden="true"><path d="M6 6l12 12M18 6L6 18"/></svg></button></p>
    <label class="unseen" for="text">Your message</label>
    <textarea id="text" rows="1" maxlength="1000" placeholder="Write a message" enterkeyhint="send"></textarea>
    <button class="primary icon" aria-label="Send"><svg viewBox="0 0 24 24" aria-hidden="true"><path d="M5 12h13M12 5l7 7-7 7"/></svg></button>
  </form>
</main>
