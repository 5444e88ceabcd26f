package policy

import (
	"encoding/json"
	"io"

	"go.yaml.in/yaml/v3"

	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/rbac"
)

// file is a whole file. Its maps are written in the order of their keys. A section
// of which nothing is to be said is not written; an empty one is.
type file struct {
	Version   int                    `json:"version" yaml:"version"`
	Roles     map[string]role        `json:"roles" yaml:"roles"`
	Groups    map[string]team        `json:"groups" yaml:"groups"`
	Resources map[string]api         `json:"resources" yaml:"resources"`
	Clients   map[string]application `json:"clients" yaml:"clients"`
	Grants    *grants                `json:"grants,omitempty" yaml:"grants,omitempty"`
	Members   *map[string]*members   `json:"members,omitempty" yaml:"members,omitempty"`
}

// Export is what a server has, ready to be written as a file: without built-in
// roles, whatever has ended, and secrets.
type Export struct{ file file }

func newExport(s State, withGrants bool) *Export {
	e := &Export{file{Version: 1, Roles: writeRoles(s.Roles), Groups: writeGroups(s.Groups), Resources: writeResources(s.Resources), Clients: writeClients(s.Clients)}}
	if withGrants {
		e.file.Grants, e.file.Members = &grants{}, &map[string]*members{}
	}
	return e
}

// add adds what somebody has, and where he is.
func (e *Export) add(s Subject, has []rbac.Grant, places []rbac.Member) {
	if e.file.Grants == nil {
		return
	}
	if len(has) > 0 {
		e.file.Grants.add(s, has)
	}
	addMembers(*e.file.Members, s, places)
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
