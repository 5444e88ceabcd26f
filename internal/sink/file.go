package sink

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// file is a file of JSON Lines. What is appended is on the disk before it counts
// as delivered. A file that was moved away, as logrotate does, is made anew.
type file struct {
	path string
	f    *os.File
}

func (d *file) deliver(_ context.Context, lines []Line) error {
	if err := d.reopen(); err != nil {
		return err
	}
	size, err := d.f.Seek(0, io.SeekEnd)
	if err != nil {
		return d.broken(err)
	}
	var b bytes.Buffer
	if size > 0 { // the last line may have been torn by a crash
		last := make([]byte, 1)
		if _, err := d.f.ReadAt(last, size-1); err != nil {
			return d.broken(err)
		}
		if last[0] != '\n' {
			b.WriteByte('\n')
		}
	}
	for _, l := range lines {
		b.Write(l.Text)
		b.WriteByte('\n')
	}
	if _, err := d.f.Write(b.Bytes()); err != nil {
		_ = d.f.Truncate(size) // a full disk keeps no half of a line
		return d.broken(err)
	}
	if err := d.f.Sync(); err != nil {
		return d.broken(err)
	}
	return nil
}

// reopen opens the file that has the path's name now.
func (d *file) reopen() error {
	if d.f != nil {
		named, err := os.Stat(d.path)
		if err == nil {
			var opened os.FileInfo
			if opened, err = d.f.Stat(); err == nil && os.SameFile(named, opened) {
				return nil
			}
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		_ = d.close()
	}
	// Without waiting: a pipe that nobody reads would hold the opening.
	f, err := os.OpenFile(d.path, os.O_RDWR|os.O_APPEND|os.O_CREATE|syscall.O_NONBLOCK, 0o600)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	switch {
	case err != nil:
	case !info.Mode().IsRegular():
		err = errors.New("it is no file")
	case info.Mode().Perm()&0o022 != 0:
		err = errors.New("others than its owner may write to it; chmod 600 it")
	default:
		d.f = f
		return nil
	}
	f.Close()
	return err
}

// broken closes the file, to be opened anew.
func (d *file) broken(err error) error {
	_ = d.close()
	return err
}

func (d *file) close() error {
	if d.f == nil {
		return nil
	}
	err := d.f.Close()
	d.f = nil
	return err
}
