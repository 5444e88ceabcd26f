package server

import (
	"fmt"
	"log/slog"
	"os"

	"github.com/doorward/doorward/internal/config"
	"github.com/doorward/doorward/internal/fetch"
)

// fetcher makes the one client by which the server asks for what others name.
func fetcher(c config.Config, log *slog.Logger) (*fetch.Client, error) {
	o := fetch.Options{Log: log}
	for _, e := range c.Fetch.Allow {
		o.Allow = append(o.Allow, fetch.Exception(e))
	}
	if c.Fetch.CA != "" {
		var err error
		if o.CA, err = os.ReadFile(c.Fetch.CA); err != nil {
			return nil, fmt.Errorf("%s: %w", c.Place("fetch.ca"), err)
		}
	}
	f, err := fetch.New(o)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.Place("fetch.ca"), err)
	}
	return f, nil
}
