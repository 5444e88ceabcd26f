package grant

import (
	"strconv"
	"strings"
)

// What an exchanged token came through, as its claim "via" names it (RFC 8693). It ends
// with each of these: the token that was exchanged would have, too.

// ViaClient names a client that a token was issued to.
func ViaClient(id string) string { return "client:" + id }

// ViaFamily names a token family, or the token of a client for itself.
func ViaFamily(id string) string { return "family:" + id }

// ViaAPI names an API that a token was for.
func ViaAPI(identifier string) string { return "api:" + identifier }

// ViaKey names an API key as it was. What it is after a change, also after a rotation,
// is another one.
func ViaKey(id string, version int64) string {
	return "key:" + id + "." + strconv.FormatInt(version, 10)
}

// Steps returns how many times a token was exchanged to become one that came through
// all this.
func Steps(via []string) int {
	n := 0
	for _, step := range via {
		if strings.HasPrefix(step, "client:") || strings.HasPrefix(step, "key:") {
			n++
		}
	}
	return n
}
