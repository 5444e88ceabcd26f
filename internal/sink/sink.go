// Package sink sends the audit log to places outside the database: files,
// webhooks and syslog.
//
// Every place gets every event that has its leaf, in the order of the leaves,
// and behind them the checkpoint that covers them: whoever holds that elsewhere
// can tell since then whether the log was changed. What is sent is the public
// part, byte for byte, without what can be erased. A place that fails, hangs or
// is full delays itself alone: nobody signs in or changes anything through here.
package sink

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"time"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/config"
)

// Line is what places are sent: an event, or a checkpoint.
type Line struct {
	Leaf   int64  // of an event; -1 for a checkpoint
	Size   int64  // of a checkpoint's tree
	Action string // "checkpoint" for one
	Failed bool   // the event tells of something that did not succeed
	At     time.Time
	Text   []byte // one JSON object on one line, without its end
}

// checkpoint is the word for a line that is one.
const checkpoint = "checkpoint"

// eventLine returns the line of an event: its leaf's number and its bytes, as
// they are. A leaf that was altered so that it is no JSON comes in base64.
func eventLine(e audit.Entry) (Line, error) {
	var public struct {
		At      time.Time
		Action  string
		Outcome audit.Outcome
	}
	v := struct {
		Leaf  int64           `json:"leaf"`
		Event json.RawMessage `json:"event,omitempty"`
		Bytes []byte          `json:"bytes,omitempty"`
	}{Leaf: e.Leaf, Event: e.Public}
	if json.Unmarshal(e.Public, &public) != nil || bytes.ContainsAny(e.Public, "\r\n") {
		v.Event, v.Bytes = nil, e.Public
	}
	text, err := marshal(v)
	return Line{Leaf: e.Leaf, Action: public.Action, Failed: public.Outcome != audit.Success, At: public.At, Text: text}, err
}

// checkpointLine returns the line of a signed checkpoint.
func checkpointLine(note []byte, size int64, at time.Time) (Line, error) {
	text, err := marshal(struct {
		Checkpoint string `json:"checkpoint"`
	}{string(note)})
	return Line{Leaf: -1, Size: size, Action: checkpoint, At: at, Text: text}, err
}

// marshal keeps the bytes of a leaf: it does not escape what was written plain.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// name says which lines a batch holds, the same each time they are sent: the
// receiver may drop what it has already.
func name(lines []Line) string {
	first, last := lines[0], lines[len(lines)-1]
	if first.Leaf < 0 {
		return checkpoint + "-" + strconv.FormatInt(first.Size, 10)
	}
	return "leaves-" + strconv.FormatInt(first.Leaf, 10) + "-" + strconv.FormatInt(last.Leaf, 10)
}

// place takes lines. Deliver returns nil once it has them for good, as far as
// its kind can tell. It is called by one goroutine at a time.
type place interface {
	deliver(ctx context.Context, lines []Line) error
	close() error
}

// open makes the place of a setting. Nothing is connected yet.
func open(s config.Sink, o Options) (place, error) {
	switch s.Kind {
	case config.FileSink:
		return &file{path: s.Address}, nil
	case config.WebhookSink:
		return newWebhook(s.Address, o.Secret, o.Clock), nil
	case config.SyslogSink:
		return newSyslog(s.Network, s.Address), nil
	}
	return nil, errors.New("there is no such kind of sink: " + s.Kind)
}
