//go:build darwin || linux

package main

import "golang.org/x/sys/unix"

// freeSpace returns how many bytes may still be written below a folder.
func freeSpace(folder string) (left uint64, known bool) {
	var s unix.Statfs_t
	if err := unix.Statfs(folder, &s); err != nil {
		return 0, false
	}
	return s.Bavail * uint64(s.Bsize), true //nolint:unconvert,nolintlint // the type differs by system
}
