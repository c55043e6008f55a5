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

# installed reports whether a Debian package is there.
installed() {
	dpkg-query -W -f '${Status}' "$1" 2>/dev/null | grep -q 'ok installed'
}

# apt_get is apt-get without questions. It waits for another one, such as the updates that a
# machine installs by itself after its start.
apt_get() {
	as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 "$@"
}

# install_missing installs the named Debian packages that are not there.
# Without the right to do so it says what to install, and fails.
install_missing() {
	missing=
	for package in "$@"; do
		installed "$package" || missing="$missing $package"
	done
	[ -n "$missing" ] || return 0
	if ! can_install; then
		echo "Please install:  apt-get install$missing" >&2
		return 1
	fi
	echo "installing$missing"
	log=$(mktemp)
	status=0
	apt_get install -y --no-install-recommends $missing >"$log" 2>&1 || {
		apt_get update >/dev/null 2>&1
		apt_get install -y --no-install-recommends $missing >"$log" 2>&1
	} || status=$?
	[ "$status" = 0 ] || cat "$log" >&2
	rm -f "$log"
	return "$status"
}

# install_stopped is install_missing for packages that start a server of their own
# name: those that it installs are neither started, by policy-rc.d, nor started at boot.
install_stopped() {
	local package new= policy= status=0
	for package in "$@"; do
		installed "$package" || new="$new $package"
	done
	[ -n "$new" ] || return 0
	if can_install && [ ! -e /usr/sbin/policy-rc.d ]; then
		policy=/usr/sbin/policy-rc.d
		printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null && as_root chmod 755 "$policy"
	fi
	install_missing $new || status=$?
	[ -z "$policy" ] || as_root rm -f "$policy"
	for package in $new; do
		! installed "$package" || ! command -v systemctl >/dev/null || as_root systemctl disable "$package" >/dev/null 2>&1
	done
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
		echo "FAIL $name" >>"${FAILURES:-/dev/null}"
		echo "$out"
	fi
}

# fuzz_target runs one fuzz target. At the end of its time Go before 1.27 may report its
# own deadline as a failure, without an input (golang.org/issue/75804): that is none.
fuzz_target() { # its folder, its name, a time, further flags
	local out status=0
	out=$(go test -C "$1" -run '^$' -fuzz "^$2\$" -fuzztime "$3" -fuzzminimizetime 1s "${@:4}" 2>&1) || status=$?
	echo "$out"
	[ "$status" = 0 ] || { grep -qx ' *context deadline exceeded' <<<"$out" && ! grep -q 'Failing input' <<<"$out"; }
}

# keep_failures makes a file to which this script and those that it runs append what has
# failed. closing shows it once more, where a reader of a long output looks first.
keep_failures() {
	[ -z "${FAILURES:-}" ] || return 0
	export FAILURES
	FAILURES=$(mktemp)
	keeps_failures=true
}

# closing prints the one line that ends a run, and reports whether it was good.
closing() {
	cat "${FAILURES:-/dev/null}"
	[ -z "${keeps_failures:-}" ] || rm -f "$FAILURES"
	echo "$passed passed, $failed failed"
	[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
}

# install_test_tools installs all that the tests run with.
install_test_tools() {
	local php xdebug=kept
	php=$(php_version)
	[ -e "/etc/php/$php/mods-available/xdebug.ini" ] || xdebug=new
	install_missing "php${php}-fpm" "php${php}-cli" "php${php}-redis" "php${php}-sqlite3" "php${php}-xdebug" "php${php}-zip" nginx redis-server chromium \
		python3-websockets python3-redis systemd prometheus apache2-bin tmux \
		composer php-predis php-laravel-framework php-symfony-{dotenv,expression-language,framework-bundle,security-bundle,yaml} || return 1
	install_stopped haproxy caddy || return 1
	# Debian enables Xdebug for every script on the machine; the tests load it by themselves.
	[ "$xdebug" = kept ] || as_root phpdismod -v "$php" -s ALL xdebug || return 1
	command -v npm >/dev/null || install_missing nodejs npm || return 1
	# A global .npmrc must not decide what is installed here.
	local folder
	for folder in test/browser test/pusher; do
		(cd "$folder" && npm ci --no-audit --no-fund --ignore-scripts --loglevel=error) || return 1
	done
}

# The tests that run without the race detector: it allocates too, and walks through all
# states of a model of one goroutine ten times as slowly, for nothing.
without_race='Allocations$|^TestEvery(Interleaving|EntryArrives)|^TestTheExploration|^TestNoOrderOfSteps'

# test_environment sets what all tests of the whole are run with.
test_environment() {
	export WSFPM_INTEGRATION=1
	# A program with the race detector otherwise waits a second before it ends.
	export GORACE="atexit_sleep_ms=20 ${GORACE:-}"
	ulimit -n "$(ulimit -Hn)"
}
