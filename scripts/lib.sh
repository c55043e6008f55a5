# Shared by the scripts beside it; read with `.`.

# find_fpm prints the path of this machine's newest php-fpm, if it has one.
find_fpm() {
	ls -1 /usr/sbin/php-fpm[0-9]* /usr/sbin/php-fpm /usr/local/sbin/php-fpm 2>/dev/null | sort -V | tail -n 1
}

# as_root runs a command as root: directly, or by sudo when it asks nothing.
as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	else
		sudo "$@"
	fi
}

# can_install reports whether this user may install packages.
can_install() {
	command -v apt-get >/dev/null || return 1
	[ "$(id -u)" = 0 ] && return 0
	command -v sudo >/dev/null && { sudo -n true 2>/dev/null || [ -t 0 ]; }
}

# install_missing installs the named Debian packages that are not there.
# Without the right to do so it says what to install, and fails.
install_missing() {
	missing=
	for package in "$@"; do
		dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
	done
	[ -n "$missing" ] || return 0
	if ! can_install; then
		echo "Please install:  apt-get install$missing" >&2
		return 1
	fi
	echo "installing$missing"
	log=$(mktemp)
	status=0
	as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing >"$log" 2>&1 || {
		as_root apt-get update >/dev/null 2>&1
		as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing >"$log" 2>&1
	} || status=$?
	[ "$status" = 0 ] || cat "$log" >&2
	rm -f "$log"
	return "$status"
}

# php_version is the version of this distribution's PHP, such as 8.2.
php_version() {
	apt-cache depends php-fpm 2>/dev/null | sed -n 's/.*Depends: php\([0-9.]*\)-fpm.*/\1/p' | head -n 1
}

# What add has counted.
passed=0 failed=0

# add reads a step's output, shows it, and adds the numbers of its last line,
# "N passed, N failed". Another last line is a failure, and so is a step in which
# nothing ran.
add() {
	local line last= ran
	while IFS= read -r line; do
		echo "$line"
		last=$line
	done
	case $last in
	*" passed, "*" failed"*)
		ran=${last%% passed*} last=${last#* passed, } last=${last%% failed*}
		[ "$((ran + last))" != 0 ] || last=1
		passed=$((passed + ran)) failed=$((failed + last))
		;;
	*) failed=$((failed + 1)) ;;
	esac
}

# check runs a command, shows its output when it fails, and counts it as one.
check() { # a name, then a command that ends with 0 when all is well
	local name=$1 out
	shift
	if out=$("$@" 2>&1); then
		passed=$((passed + 1))
		echo "ok  $name"
	else
		failed=$((failed + 1))
		echo "--- FAIL $name"
		echo "$out"
	fi
}

# closing prints the one line that ends a run, and reports whether it was good.
closing() {
	echo "$passed passed, $failed failed"
	[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
}

# install_test_tools installs all that the tests run with.
install_test_tools() {
	local php xdebug=kept
	php=$(php_version)
	[ -e "/etc/php/$php/mods-available/xdebug.ini" ] || xdebug=new
	install_missing "php${php}-fpm" "php${php}-cli" "php${php}-redis" "php${php}-xdebug" nginx redis-server chromium \
		python3-websockets python3-redis systemd prometheus || return 1
	# Debian enables Xdebug for every script on the machine; the tests load it by themselves.
	[ "$xdebug" = kept ] || as_root phpdismod -v "$php" -s ALL xdebug || return 1
	command -v npm >/dev/null || install_missing nodejs npm || return 1
	# A global .npmrc must not decide what is installed here.
	(cd test/browser && npm ci --no-audit --no-fund --ignore-scripts --loglevel=error)
}

# test_environment sets what all tests of the whole are run with.
test_environment() {
	export WSFPM_INTEGRATION=1
	# A program with the race detector otherwise waits a second before it ends.
	export GORACE="atexit_sleep_ms=20 ${GORACE:-}"
	ulimit -n "$(ulimit -Hn)"
}
