package policy

import (
	"encoding/json"
	"io"

	"go.yaml.in/yaml/v3"

	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/rbac"
)

// file is a whole file. Its maps are written in the order of their keys.
type file struct {
	Version int                    `json:"version" yaml:"version"`
	Roles   map[string]role        `json:"roles" yaml:"roles"`
	Clients map[string]application `json:"clients" yaml:"clients"`
	Grants  *grants                `json:"grants,omitempty" yaml:"grants,omitempty"`
}

// Export is what a server has, ready to be written as a file: without built-in
// roles, whatever has ended, and secrets.
type Export struct{ file file }

func newExport(s State, withGrants bool) *Export {
	e := &Export{file{Version: 1, Roles: writeRoles(s.Roles), Clients: writeClients(s.Clients)}}
	if withGrants {
		e.file.Grants = &grants{}
	}
	return e
}

// WriteYAML writes the file.
func (e *Export) WriteYAML(w io.Writer) error {
	if _, err := io.WriteString(w, "# Who may do what. See: doorward policy --help\n"); err != nil {
		return err
	}
	y := yaml.NewEncoder(w)
	y.SetIndent(2)
	if err := y.Encode(e.file); err != nil {
		return err
	}
	return y.Close()
}

// MarshalJSON returns the same as JSON, which can be read as a file, too.
func (e *Export) MarshalJSON() ([]byte, error) { return json.Marshal(e.file) }

// none is where there is nothing yet: the built-in roles alone.
func none() State { return State{Roles: rbac.Builtin(), Clients: []client.Client{}} }
