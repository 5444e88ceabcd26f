package admin

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"

	"github.com/doorward/doorward/internal/apikey"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/issue"
	"github.com/doorward/doorward/internal/web"
)

// The bounds of one report.
const (
	// LeakLimit is how large a report may be.
	LeakLimit = 1 << 20
	mostLeaks = 1000
)

// match is what stands in a report of GitHub's secret scanning, as its partner programme has
// it. It may say more.
type match struct {
	Token string `json:"token"`
	Type  string `json:"type"`
	URL   string `json:"url"`
}

// feedback is what is told of a match: that it was a key, or was never one.
type feedback struct {
	Hash  string `json:"token_hash"` // SHA-256
	Type  string `json:"token_type"`
	Label string `json:"label"`
}

// ReportLeaks takes the reports of GitHub's secret scanning partner programme that keys
// were found in public. It believes those whom the configuration names; while it names
// nobody, nothing is here. Each key is revoked, and its owner told.
func (a *API) ReportLeaks(w http.ResponseWriter, r *http.Request) error {
	if a.Reporters == "" {
		return &web.Refused{Status: http.StatusNotFound, Message: "there is nothing here"}
	}
	if _, err := web.MediaType(r, web.JSONType); err != nil {
		return err
	}
	if err := web.Buffer(w, r, LeakLimit); err != nil {
		return err
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	reporters, err := ReadReporters(a.Reporters)
	if err != nil {
		return err
	}
	identifier, signature := r.Header.Values("Github-Public-Key-Identifier"), r.Header.Values("Github-Public-Key-Signature")
	if len(identifier) != 1 || len(signature) != 1 || !reporters.Signed(body, signature[0]) {
		return fault.New(fault.Unauthenticated, "the report is not signed by whom this server believes")
	}
	var list []match
	if err := json.Unmarshal(body, &list); err != nil {
		return fault.At("body", "it is a JSON array of matches, each with token, type and url").Because(err)
	}
	if len(list) > mostLeaks {
		return &web.Refused{Status: http.StatusRequestEntityTooLarge, Message: fmt.Sprintf("report at most %d matches at once", mostLeaks)}
	}
	answer := make([]feedback, len(list))
	for i, m := range list {
		if answer[i], err = a.leaked(r, m, identifier[0]); err != nil {
			return err
		}
	}
	return web.JSON(w, http.StatusOK, answer)
}

// leaked revokes the key that was found, if it is one.
func (a *API) leaked(r *http.Request, m match, reporter string) (feedback, error) {
	sum := sha256.Sum256([]byte(m.Token))
	answer := feedback{base64.StdEncoding.EncodeToString(sum[:]), m.Type, "false_positive"}
	k, err := a.APIKeys.Named(r.Context(), m.Token)
	if fault.KindOf(err) == fault.NotFound {
		return answer, nil
	} else if err != nil {
		return answer, err
	}
	answer.Label = "true_positive"
	return answer, a.Issuer.KeyLeaked(r.Context(), web.By(r.Context()), issue.Leak{Key: k, URL: bounded(m.URL, 512), Reporter: bounded(reporter, 128)})
}

// ReadReporters reads the file of those who are believed. It is read for each report, so
// that another key needs no start.
func ReadReporters(path string) (apikey.Reporters, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading who may report leaks: %w", err)
	}
	list, err := apikey.ParseReporters(bytes.TrimSpace(text))
	if err != nil {
		return nil, fmt.Errorf("reading who may report leaks: %s: %w", path, err)
	}
	return list, nil
}
