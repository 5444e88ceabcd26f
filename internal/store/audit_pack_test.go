package store_test

import (
	"encoding/hex"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/store"
	"github.com/doorward/doorward/internal/store/storetest"
)

// Who reads with SQL sees of the events that wait what he will see of their leaves,
// whatever a stranger wrote into them.
func TestWhatWaitsIsSeenAsItsLeaves(t *testing.T) {
	storetest.Portable(t, func(t *testing.T, s *store.Store, w *storetest.Witness) {
		log := storetest.NewWitnessed(t, s)
		var events []audit.Event
		for _, text := range []string{"plain", "a\tb", "a\nb", "\x00", "\xff", "\u2028", `"\`, `\t\n\u0041`, "Ünïcödé ch aa", strings.Repeat("long ", 300), "[],{}:'%?"} {
			by := principal.Principal{Kind: principal.User, ID: "ann", Origin: principal.Origin{RequestID: text, Address: text, UserAgent: text}}
			events = append(events, audit.Now(by, time.Now(), audit.UserUpdated, "user:"+text).With("note", text).Because(audit.Failure, text))
		}
		events = append(events, audit.Now(storetest.Operator, time.Now(), audit.ServerStarted, ""))
		if err := s.Tell(t.Context(), events); err != nil {
			t.Fatal(err)
		}
		waiting := byID(w.Dump(t)["audit_events"])
		log.SequenceAll(t, 10)
		leaves := byID(w.Dump(t)["audit_events"])
		if len(waiting) != len(events) || len(leaves) != len(events) {
			t.Fatalf("%d wait and %d have a leaf, of %d", len(waiting), len(leaves), len(events))
		}
		for id, leaf := range leaves {
			delete(leaf, "leaf")
			was := waiting[id]
			for column, text := range leaf {
				if was[column] != text {
					t.Errorf("%s of an event is %q, and of its leaf %q", column, was[column], text)
				}
			}
			data, err := hex.DecodeString(leaf["data"])
			at, notNumber := strconv.ParseInt(leaf["at"], 10, 64)
			if err != nil || notNumber != nil || !strings.Contains(string(data), time.UnixMicro(at).UTC().Format(audit.TimeFormat)) {
				t.Errorf("%s at %s, %v %v", data, leaf["at"], err, notNumber)
			}
		}
	})
}

func byID(rows []storetest.Row) map[string]storetest.Row {
	list := map[string]storetest.Row{}
	for _, r := range rows {
		list[r["id"]] = r
	}
	return list
}
