package admin

import (
	"net/http"
	"net/url"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/web"
)

// mergePatchType is the media type of a merge patch (RFC 7396, Section 4).
const mergePatchType = "application/merge-patch+json"

// strict refuses what huma would let pass: a body of a type that only looks like
// JSON, a query that two parsers could read differently, and a condition that no
// operation holds.
func strict(r *http.Request) error {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return fault.At("query", "the query cannot be read").Because(err)
	}
	for name, values := range query {
		if len(values) > 1 {
			return fault.At("query."+bounded(name, 64), "a parameter is there twice")
		}
	}
	types := []string{web.JSONType}
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		return nil
	case http.MethodPatch:
		types = append(types, mergePatchType)
	}
	// A tag that is not known yet says nothing that a change could be held to, and
	// * is that there be nothing (RFC 9110, Section 13.1.2).
	if len(r.Header.Values("If-None-Match")) > 0 {
		return web.NewProblem(http.StatusPreconditionFailed, "If-None-Match is for reading; to change only what you have read, send If-Match")
	}
	if r.ContentLength == 0 {
		return nil
	}
	_, err = web.MediaType(r, types...)
	return err
}
