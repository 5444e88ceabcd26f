// Package need brings what tests and tools need from outside Go: a compiler, a
// database, a browser.
//
// Whatever is missing is installed with apt-get where that is possible: on
// Debian, as root. Elsewhere the error says what to install. Nothing is
// installed that is there already.
package need

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// Program returns the path of a program on PATH. Where there is none, it
// installs the Debian packages that bring it.
func Program(ctx context.Context, name string, packages ...string) (string, error) {
	return Found(ctx, func() (string, error) { return exec.LookPath(name) }, packages...)
}

// Found returns what find returns. Where find fails, it installs the Debian
// packages and asks find once more.
func Found(ctx context.Context, find func() (string, error), packages ...string) (string, error) {
	if path, err := find(); err == nil {
		return path, nil
	}
	unlock, err := lock()
	if err != nil {
		return "", err
	}
	defer unlock()
	path, err := find() // another test may have installed it meanwhile
	if err == nil {
		return path, nil
	}
	if err := install(ctx, packages); err != nil {
		return "", fmt.Errorf("%w: %w", err, errMissing(packages))
	}
	return find()
}

func errMissing(packages []string) error {
	return fmt.Errorf("missing here; install it (on Debian: apt-get install %s)", strings.Join(packages, " "))
}

// lock lets one process of this machine install at a time: test binaries run
// side by side, and apt-get refuses to.
func lock() (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(os.TempDir(), fmt.Sprintf("doorward-need-%d.lock", os.Geteuid())), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() { _ = f.Close() }, nil // which gives the lock back
}

func install(ctx context.Context, packages []string) error {
	if len(packages) == 0 {
		return errors.New("no package is known to bring it")
	}
	if os.Geteuid() != 0 {
		return errors.New("only root can install packages")
	}
	if _, err := exec.LookPath("apt-get"); err != nil {
		return errors.New("there is no apt-get")
	}
	fmt.Fprintf(os.Stderr, "installing %s with apt-get\n", strings.Join(packages, " "))
	if err := apt(ctx, "update"); err != nil {
		return err
	}
	return apt(ctx, append([]string{"install", "-y", "--no-install-recommends"}, packages...)...)
}

func apt(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, "apt-get", args...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("apt-get %s: %w\n%s", strings.Join(args, " "), err, bytes.TrimSpace(out))
	}
	return nil
}
