<!doctype html>
<html>
<head><?php wp_head(); ?></head>
<body>
<?php
while (have_posts()) {
    the_post();
    the_content();
    comment_form();
}
wp_footer();
?>
</body>
</html>
