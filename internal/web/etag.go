package web

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// ETag returns the strong entity tag of a version (RFC 9110, Section 8.8.3).
func ETag(version int64) string { return fmt.Sprintf(`"v%d"`, version) }

// Matches reports whether an If-None-Match header names tag (RFC 9110, Section
// 13.1.2).
func Matches(header, tag string) bool {
	for given := range strings.SplitSeq(header, ",") {
		given = strings.TrimPrefix(strings.TrimSpace(given), "W/")
		if given == tag || given == "*" {
			return true
		}
	}
	return false
}

// IfMatch returns the version that an If-Match header asks for (RFC 9110,
// Section 13.1.1), or 0 where there is none or it is *. Another tag is one that
// no version has: the precondition fails.
func IfMatch(header string) (int64, error) {
	tag := strings.TrimSpace(header)
	if tag == "" || tag == "*" {
		return 0, nil
	}
	digits, ok := strings.CutPrefix(tag, `"v`)
	digits, closed := strings.CutSuffix(digits, `"`)
	version, err := strconv.ParseInt(digits, 10, 64)
	if !ok || !closed || err != nil || version < 1 || ETag(version) != tag {
		return 0, NewProblem(http.StatusPreconditionFailed, "it is not the version that If-Match names; read it again")
	}
	return version, nil
}
