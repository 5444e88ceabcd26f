package server_test

import (
	"net/http"
	"testing"

	"github.com/doorward/doorward/internal/servertest"
)

// What stands in a path is read: each object is found under its own address.
func TestPathParameters(t *testing.T) {
	servertest.Each(t, func(t *testing.T, s *servertest.Site) {
		ann := s.User(t, "ann", "viewer")
		token := s.Login(t, servertest.Admin).Access
		for _, tt := range []struct{ path, field, want string }{
			{"/users/" + ann.ID, "username", "ann"},
			{"/roles/viewer", "name", "viewer"},
		} {
			a := s.Call(t, token, http.MethodGet, tt.path, nil)
			var got map[string]any
			a.JSON(t, &got)
			if a.Status != http.StatusOK || got[tt.field] != tt.want {
				t.Errorf("GET %s: %d %s", tt.path, a.Status, a.Body)
			}
		}
		if a := s.Call(t, token, http.MethodDelete, "/users/"+ann.ID+"/roles/viewer", nil); a.Status != http.StatusNoContent {
			t.Errorf("taking a role: %d %s", a.Status, a.Body)
		}
	})
}
