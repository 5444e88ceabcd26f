package server

import (
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/doorward/doorward/internal/config"
)

// NewLog returns the logger of a configuration, and a function that writes what
// it still holds.
func NewLog(c config.Log, to io.Writer) (*slog.Logger, func()) {
	text := c.Format == "text"
	if f, ok := to.(*os.File); ok && c.Format == "auto" {
		text = term.IsTerminal(int(f.Fd()))
	}
	l := &lines{to: to}
	options := &slog.HandlerOptions{Level: c.Level}
	if text {
		return slog.New(slog.NewTextHandler(l, options)), l.flush
	}
	return slog.New(slog.NewJSONHandler(l, options)), l.flush
}

// lines gathers log lines for a moment, so that a request costs no system call
// of its own. What a crash of the process takes with it is the last moment of
// the log; the audit log is not written here.
type lines struct {
	to io.Writer

	mu     sync.Mutex
	buffer []byte
	timer  *time.Timer
}

const (
	moment = 20 * time.Millisecond
	enough = 32 << 10
)

// Write takes one line.
func (l *lines) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buffer = append(l.buffer, line...)
	if len(l.buffer) >= enough {
		l.out()
	} else if l.timer == nil {
		l.timer = time.AfterFunc(moment, l.flush)
	}
	return len(line), nil
}

func (l *lines) flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.out()
}

func (l *lines) out() {
	if l.timer != nil {
		l.timer.Stop()
		l.timer = nil
	}
	if len(l.buffer) > 0 {
		_, _ = l.to.Write(l.buffer) // there is nowhere to tell that the log is full
		l.buffer = l.buffer[:0]
	}
}
