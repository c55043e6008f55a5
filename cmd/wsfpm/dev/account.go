package dev

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
)

// Account is the user that PHP runs as, where that is another one than wsfpm's. A nil
// Account is wsfpm's own user.
type Account struct {
	Name, Home string
	UID, GID   int
	Groups     []uint32 // further groups
}

// SudoAccount returns the user who has called sudo, so that PHP does not run as root. It is
// nil if wsfpm does not run as root, or was started by root itself.
func SudoAccount(getenv func(string) string) (*Account, error) {
	id := getenv("SUDO_UID")
	if os.Geteuid() != 0 || id == "" || id == "0" {
		return nil, nil
	}
	u, err := user.LookupId(id)
	if err != nil {
		return nil, fmt.Errorf("find the user of sudo (SUDO_UID): %w", err)
	}
	a := &Account{Name: u.Username, Home: u.HomeDir}
	if a.UID, err = strconv.Atoi(u.Uid); err != nil {
		return nil, fmt.Errorf("user %s: %w", u.Username, err)
	}
	if a.GID, err = strconv.Atoi(u.Gid); err != nil {
		return nil, fmt.Errorf("user %s: %w", u.Username, err)
	}
	groups, err := u.GroupIds()
	if err != nil {
		return nil, fmt.Errorf("groups of user %s: %w", u.Username, err)
	}
	for _, group := range groups {
		gid, err := strconv.ParseUint(group, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("groups of user %s: %w", u.Username, err)
		}
		a.Groups = append(a.Groups, uint32(gid))
	}
	return a, nil
}

// own gives a file or folder to the account. It follows no symbolic link.
func (a *Account) own(path string) error {
	if a == nil {
		return nil
	}
	return os.Lchown(path, a.UID, a.GID)
}

// TempDir makes a folder that no other user can enter. The caller removes it.
func TempDir(owner *Account) (string, error) {
	dir, err := os.MkdirTemp("", "wsfpm-dev-")
	if err != nil {
		return "", err
	}
	for _, name := range []string{"tmp", "sessions"} {
		if err := makeFolder(dir+"/"+name, owner); err != nil {
			return dir, err
		}
	}
	return dir, owner.own(dir)
}
