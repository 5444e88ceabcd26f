package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// writeNew writes a file that must not be there yet, for its owner's eyes alone,
// and returns once it is on the disk.
func writeNew(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(fill(f, data), syncFolder(path))
}

// replace writes a file in the place of the one that is there, which keeps its
// owner and its mode. Whoever reads it meanwhile, or after a crash, finds the
// whole of the old or the whole of the new.
func replace(path string, data []byte) error {
	mode := fs.FileMode(0o600)
	before, err := os.Stat(path)
	if err == nil {
		mode = before.Mode().Perm()
		if path, err = filepath.EvalSymlinks(path); err != nil {
			return err
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	sweep(path)
	f, err := os.CreateTemp(filepath.Dir(path), unfinished(path)) // its mode is 0600
	if err != nil {
		return err
	}
	keep := func() error {
		if before == nil {
			return nil
		}
		return errors.Join(keepOwner(f, before), f.Chmod(mode))
	}
	if err := errors.Join(keep(), fill(f, data)); err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return syncFolder(path)
}

// unfinished is how the names of files begin that are to replace a file.
func unfinished(path string) string { return "." + filepath.Base(path) + "-" }

// sweep deletes what interrupted runs left of replacing a file: it may hold a
// key. What is younger than a minute may be another run's.
func sweep(path string) {
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return
	}
	for _, e := range entries {
		if info, err := e.Info(); strings.HasPrefix(e.Name(), unfinished(path)) && err == nil && time.Since(info.ModTime()) > time.Minute {
			os.Remove(filepath.Join(filepath.Dir(path), e.Name()))
		}
	}
}

// fill writes a file to the disk and closes it.
func fill(f *os.File, data []byte) error {
	_, err := f.Write(data)
	return errors.Join(err, f.Sync(), f.Close())
}

// syncFolder makes the name of a new file as lasting as its content.
func syncFolder(path string) error {
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer d.Close()
	// Some file systems cannot do it, and then there is nothing to wait for.
	if err := d.Sync(); err != nil && !errors.Is(err, errors.ErrUnsupported) && !errors.Is(err, fs.ErrInvalid) {
		return err
	}
	return nil
}
