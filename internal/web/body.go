package web

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
)

// Refused is a request that HTTP itself has a status for.
type Refused struct {
	Status  int
	Message string
	Allow   string // with 405: the methods that there are
}

// Error returns the message.
func (e *Refused) Error() string { return e.Message }

// Media types that bodies may have.
const (
	Form     = "application/x-www-form-urlencoded"
	JSONType = "application/json"
)

// BodyLimit is how large a body may be.
const BodyLimit = 16 << 10

// Body reads the body of a request whose media type is one of types, and says
// which. Errors: Refused with 415 for another type, a charset that is not UTF-8
// or a compressed body, 413 for one that is too large, 400 for one cut short.
func Body(w http.ResponseWriter, r *http.Request, types ...string) (mediaType string, body []byte, err error) {
	mediaType, err = MediaType(r, types...)
	if err != nil {
		return "", nil, err
	}
	body, err = read(w, r, BodyLimit)
	return mediaType, body, err
}

// read reads a body that is not longer than limit.
func read(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	if r.ContentLength > limit {
		return nil, tooLarge
	}
	// Room for the end, too, which is read as well; of what is only announced, for little.
	body := bytes.NewBuffer(make([]byte, 0, min(max(r.ContentLength, 0), 4096)+bytes.MinRead))
	_, err := body.ReadFrom(http.MaxBytesReader(w, r.Body, limit))
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return nil, tooLarge
	} else if err != nil {
		return nil, cut
	}
	return body.Bytes(), nil
}

// Buffer reads the body of a request before anything is decided about it, so that
// a decision is not old when the last byte comes. Errors: Refused with 413 and 400
// as Body.
func Buffer(w http.ResponseWriter, r *http.Request, limit int64) error {
	body, err := read(w, r, limit)
	if err != nil {
		return err
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	return nil
}

var cut = &Refused{Status: http.StatusBadRequest, Message: "the body could not be read to its end"}

var tooLarge = &Refused{Status: http.StatusRequestEntityTooLarge, Message: "the body is too large"}

// MediaType returns the media type of a request's body, which is one of types.
// It returns Refused with 415 for another type, a charset that is not UTF-8, or a
// compressed body.
func MediaType(r *http.Request, types ...string) (string, error) {
	bad := &Refused{Status: http.StatusUnsupportedMediaType, Message: "send the body as " + strings.Join(types, " or ")}
	given := r.Header.Values("Content-Type")
	if len(given) != 1 || len(r.Header.Values("Content-Encoding")) > 0 {
		return "", bad
	}
	mediaType, params, err := mime.ParseMediaType(given[0])
	if err != nil {
		return "", bad
	}
	for name, value := range params {
		if name != "charset" || !strings.EqualFold(value, "utf-8") {
			return "", bad
		}
	}
	for _, t := range types {
		if t == mediaType {
			return t, nil
		}
	}
	return "", bad
}
