package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/storm/program"
)

// operator works with the commands, beside the server and on its database, and
// is not killed with it.
type operator struct {
	base
	made  int
	names []string // accounts that were made
}

func (o *operator) step() {
	const seldom = 20
	if pick(seldom) != 0 {
		time.Sleep(10 * time.Millisecond)
		return
	}
	o.made++
	name := fmt.Sprintf("%s-%d", o.who, o.made)
	l := o.ledger.ask(o.who, "doorward user create "+name)
	_, err := program.Run(context.Background(), o.command("user", "create", name, "--no-password"), "")
	switch {
	case err == nil:
		o.ledger.answered(l, "done")
		o.sum.add("acknowledged commands")
		o.names = append(o.names, name)
	case o.caller.away.Load():
		o.ledger.answered(l, "failed, and so did the database")
	default:
		o.ledger.answered(l, err.Error())
		o.violated("a command beside the server failed: %s", strings.TrimSpace(err.Error()))
	}
}

func (o *operator) settle(s *snapshot) {
	for _, name := range o.names {
		if s.names[name] == "" {
			o.violated("the account %s was made, and is not there", name)
		}
	}
}
