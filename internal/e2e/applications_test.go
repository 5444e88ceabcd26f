//go:build interop

package e2e_test

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/storm/program"
)

// origin is where an application of the test's own may serve.
func origin(t *testing.T) string {
	t.Helper()
	port, err := program.Port()
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("http://localhost:%d", port)
}

// told returns the commands that the guide to clients tells under a heading.
func told(t *testing.T, heading string) [][]string {
	t.Helper()
	text, err := os.ReadFile("../../docs/guides/clients.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## "+heading)
	section, _, _ = strings.Cut(section, "\n## ")
	var all [][]string
	for _, m := range regexp.MustCompile(`(?m)^    doorward ((?:.*\\\n)*.+)$`).FindAllStringSubmatch(section, -1) {
		all = append(all, strings.Fields(strings.NewReplacer("\\\n", " ", "'", "").Replace(m[1])))
	}
	if len(all) == 0 {
		t.Fatalf("the guide tells no command for %s", heading)
	}
	return all
}

// asTold runs the first of these commands for an application at an origin, and returns
// what it made.
func (s *site) asTold(t *testing.T, heading, origin string) (made registered) {
	t.Helper()
	args := told(t, heading)[0]
	for i := range args {
		args[i] = strings.ReplaceAll(args[i], "https://app.example.com", origin)
	}
	if err := json.Unmarshal([]byte(s.operate(t, "", append(args, "-o", "json")...)), &made); err != nil {
		t.Fatal(err)
	}
	return made
}

// TestInteropGuide runs the commands for those applications that no test starts.
func TestInteropGuide(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, heading := range []string{"oauth2-proxy", "Apache", "Spring", "Auth.js", "Django", "Kubernetes", "Dovecot"} {
		for _, args := range told(t, heading) {
			s.operate(t, "", args...)
		}
	}
}

// TestInteropExpress signs somebody in to web applications by express-openid-connect and
// passport-openidconnect.
func TestInteropExpress(t *testing.T) {
	t.Parallel()
	node, room := nodeRoom(t, "clients")
	s := start(t, "DOORWARD_FETCH_ALLOW=localhost") // to tell the first that somebody signed out
	ann := s.ann(t)
	for _, library := range []string{"express-openid-connect", "passport-openidconnect"} {
		app := origin(t)
		c := s.asTold(t, library, app)
		ann.with(room, "", node, library+".mjs", s.url, c.ID, c.Secret, app)
	}
}

// TestInteropMCP lets an agent that knows an address alone find who signs people in for
// it, register itself, and be renewed (Model Context Protocol, Authorization).
func TestInteropMCP(t *testing.T) {
	t.Parallel()
	node, room := nodeRoom(t, "clients")
	s := start(t, "DOORWARD_REGISTRATION_OPEN=true", "DOORWARD_REGISTRATION_SCOPES=read")
	server := origin(t)
	s.asTold(t, "Model Context Protocol", server)
	s.ann(t).with(room, landing, node, "mcp.mjs", s.url, server+"/mcp", landing)
}
