package doctor

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"wsfpm/gateway/config"
	"wsfpm/gateway/poolfile"
)

// maxUserINI bounds what is read of a .user.ini, in bytes.
const maxUserINI = 1 << 20

// perDirectory is the bit of a directive that such a file may change (PHP_INI_PERDIR). What a
// pool file sets with php_admin_value has lost it.
const perDirectory = 2

// userINI looks at the .user.ini files by which PHP changes its settings for the scripts of a
// pool: the probe lies in another folder.
func (v *visit) userINI(pool *config.FPM, p probed) (found []finding) {
	name := p.INI["user_ini.filename"]
	if name == nil || *name == "" {
		return nil
	}
	for _, folder := range v.scriptFolders(pool) {
		file := filepath.Join(folder, filepath.Base(*name))
		values, err := readUserINI(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			found = append(found, notRun("%v", err))
			continue
		}
		for _, d := range directives {
			value, set := values[d.name]
			if set && p.Access[d.name]&perDirectory != 0 && d.wrong(value) {
				found = append(found, finding{d.status(), d.name, d.sentence(file, value)})
			}
		}
	}
	return found
}

// scriptFolders are the folders whose .user.ini counts for scripts of a pool: from the
// document root to that of the script, or the latter alone (PHP's sapi/fpm/fpm/fpm_main.c).
func (v *visit) scriptFolders(pool *config.FPM) (folders []string) {
	for _, r := range v.Config.Routes {
		if !slices.Contains(r.Pools(), pool.Name) {
			continue
		}
		folder := r.Root
		if r.Script != "" {
			folder = filepath.Dir(r.Script)
		}
		folder = realPath(folder, r.ResolveRoot)
		root := realPath(r.DocumentRoot, r.ResolveRoot)
		chain := []string{folder}
		if below, err := filepath.Rel(root, folder); r.DocumentRoot != "" && err == nil && filepath.IsLocal(below) {
			for folder != root {
				folder = filepath.Dir(folder)
				chain = append(chain, folder)
			}
		}
		for _, each := range chain {
			if !slices.Contains(folders, each) {
				folders = append(folders, each)
			}
		}
	}
	return folders
}

// realPath returns a path as PHP is told it.
func realPath(path string, resolve bool) string {
	if real, err := filepath.EvalSymlinks(path); resolve && err == nil {
		return real
	}
	return filepath.Clean(path)
}

// readUserINI returns the directives of a .user.ini.
func readUserINI(file string) (map[string]string, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxUserINI {
		return nil, &fs.PathError{Op: "read", Path: file, Err: errors.New("not a file of at most 1 MiB")}
	}
	text, err := os.ReadFile(file)
	return poolfile.Directives(strings.ToValidUTF8(string(text), "?")), err
}
