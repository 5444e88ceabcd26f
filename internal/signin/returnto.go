package signin

import (
	"strings"

	"github.com/doorward/doorward/internal/web"
)

// home is where somebody goes who signed in and was not on the way to anywhere.
const home = "/account"

// returnLimit is how long a place to return to may be.
const returnLimit = 4096

// returnTo returns where to go after the sign-in. Whoever made the link chose it,
// so it is a path on this site, written as web.Canonical has it, perhaps with a
// query, or it is home.
func returnTo(place string) string {
	path, query, _ := strings.Cut(place, "?")
	if len(place) > returnLimit || !web.Canonical(path) {
		return home
	}
	for _, c := range []byte(path + query) {
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`\"<>^{|}#`+"`", c) >= 0 {
			return home
		}
	}
	return place
}
