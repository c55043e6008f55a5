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

# can_install tells whether this user may install packages.
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
