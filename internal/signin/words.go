package signin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path"
	"strings"
	"time"

	"golang.org/x/text/language"
)

// words are all texts of the pages in one language: pages/LANGUAGE.json. A text is
// a format in the manner of fmt.Sprintf.
type words map[string]string

// english is what all other languages are a translation of.
const english = "en"

// catalogues are the languages, English first.
type catalogues struct {
	matcher language.Matcher
	words   []words
}

// readCatalogues reads every language that there is a file of.
func readCatalogues() (c catalogues) {
	names, err := pages.ReadDir("pages")
	if err != nil {
		panic(err) // it is embedded
	}
	files := []string{english + ".json"}
	for _, n := range names {
		if path.Ext(n.Name()) == ".json" && n.Name() != files[0] {
			files = append(files, n.Name())
		}
	}
	var tags []language.Tag
	for _, name := range files {
		text, err := pages.ReadFile("pages/" + name)
		if err != nil {
			panic(err)
		}
		var w words
		if err := json.Unmarshal(text, &w); err != nil {
			panic(fmt.Errorf("pages/%s: %w", name, err))
		}
		c.words, tags = append(c.words, w), append(tags, language.MustParse(strings.TrimSuffix(name, ".json")))
	}
	c.matcher = language.NewMatcher(tags)
	return c
}

// Languages returns the languages of the pages, as BCP 47 has them.
func Languages() []string {
	var list []string
	for _, w := range languages.words {
		list = append(list, w["language"])
	}
	return list
}

// of returns the words that a browser asks for (RFC 9110, Section 12.5.4).
func (c catalogues) of(r *http.Request) words {
	_, i := language.MatchStrings(c.matcher, r.Header.Get("Accept-Language"))
	return c.words[i]
}

// in returns the words of the languages that a client names for its person, the first
// best; a browser's own if there is none of them (OpenID Connect Core 1.0, Section
// 3.1.2.1).
func (c catalogues) in(locales []string, r *http.Request) words {
	for _, name := range locales {
		tag, err := language.Parse(name)
		if err != nil {
			continue
		}
		if _, i, confidence := c.matcher.Match(tag); confidence >= language.High {
			return c.words[i]
		}
	}
	return c.of(r)
}

// Say returns a text of the catalogue.
func (w words) Say(key string, args ...any) (string, error) {
	format, ok := w[key]
	if !ok {
		return "", fmt.Errorf("the catalogue has no %s", key)
	}
	if len(args) == 0 {
		return format, nil
	}
	return fmt.Sprintf(format, args...), nil
}

// told returns a message of the domain, which is in English, as a sentence in these
// words.
func (w words) told(message string) string {
	if translated, ok := w[message]; ok {
		return translated
	}
	return strings.ToUpper(message[:1]) + message[1:] + "."
}

// wait says for how long.
func (w words) wait(d time.Duration) string {
	if d <= time.Minute {
		return fmt.Sprintf(w["time.seconds"], max(1, int((d+time.Second-1)/time.Second)))
	}
	return fmt.Sprintf(w["time.minutes"], int((d+time.Minute-1)/time.Minute))
}

// when returns a moment that lies behind, for a template.
func (w words) when(at, now time.Time) moment {
	m := moment{Machine: at.UTC().Format(time.RFC3339), Exact: at.UTC().Format(w["time.exact"])}
	switch since := now.Sub(at); {
	case since < time.Minute:
		m.Text = w["time.now"]
	case since < time.Hour:
		m.Text = fmt.Sprintf(w["time.ago"], fmt.Sprintf(w["time.minutes"], int(since/time.Minute)))
	case since < 24*time.Hour:
		m.Text = fmt.Sprintf(w["time.ago"], fmt.Sprintf(w["time.hours"], int(since/time.Hour)))
	default:
		m.Text = at.UTC().Format(w["time.date"])
	}
	return m
}

// moment is a time as people say it, as they write it, and for machines.
type moment struct{ Text, Exact, Machine string }
