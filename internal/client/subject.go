package client

import (
	"context"
	"encoding/json"
	"net"
	"net/url"
	"slices"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/oauth"
	"github.com/doorward/doorward/internal/principal"
)

// SubjectType is what people are called when a client is told of them (OpenID Connect
// Core 1.0, Section 8).
type SubjectType string

// The types.
const (
	PublicSubjects   SubjectType = "public"   // the same for all clients
	PairwiseSubjects SubjectType = "pairwise" // another for each sector
)

const mostSector = 64 << 10 // bytes of a list of redirect URIs

// Sector returns what a client's pairwise subjects are made for: the host of its
// sector_identifier_uri, or that of its redirect URIs (OpenID Connect Core 1.0, Section
// 8.1). It is empty for a client whose subjects are public.
func (c Client) Sector() string {
	if c.SubjectType != PairwiseSubjects {
		return ""
	}
	if c.SectorURI != "" {
		return hostOf(c.SectorURI)
	}
	if len(c.RedirectURIs) == 0 {
		return ""
	}
	return hostOf(c.RedirectURIs[0])
}

func hostOf(uri string) string {
	u, err := url.Parse(uri)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// checkSubjects is the part of Check that is about these.
func (c *Client) checkSubjects() error {
	if c.SectorURI != "" && oauth.CheckPageURI(c.SectorURI) != nil {
		return fault.At("sector_identifier_uri", "it is an https URI")
	}
	switch c.SubjectType {
	case "", PublicSubjects:
		return nil
	case PairwiseSubjects:
	default:
		return fault.At("subject_type", "it is public or pairwise")
	}
	// Whose the redirect URIs are, codes prove, which are sent there. A device needs none.
	if c.May(oauth.DeviceCode) {
		return fault.At("subject_type", "a client whose tokens do not come by its redirect URIs alone has public subjects")
	}
	if c.SectorURI != "" {
		return nil
	}
	sector := c.Sector()
	if sector == "" || sector == "localhost" || net.ParseIP(sector).IsLoopback() {
		return fault.At("sector_identifier_uri", "pairwise subjects need it where no redirect URI has a host of its own")
	}
	if slices.ContainsFunc(c.RedirectURIs, func(uri string) bool { return hostOf(uri) != sector }) {
		return fault.At("sector_identifier_uri", "pairwise subjects need it where the redirect URIs are of several hosts")
	}
	return nil
}

// ready sees to all that a client needs before anybody signs in to it.
func (s *Service) ready(ctx context.Context, by principal.Principal, c Client) error {
	if err := s.proveSector(ctx, c); err != nil {
		return err
	}
	return s.key(ctx, by, c)
}

// proveSector returns a fault for a client that is not of the sector that it names: the
// list at sector_identifier_uri must hold every redirect URI (OpenID Connect Dynamic
// Client Registration 1.0, Section 5). It is read when the client is registered or
// changed, and not after.
func (s *Service) proveSector(ctx context.Context, c Client) error {
	if c.SectorURI == "" {
		return nil
	}
	if s.assertions.Fetch == nil {
		return fault.At("sector_identifier_uri", "it cannot be fetched")
	}
	text, err := s.assertions.Fetch.Get(ctx, c.SectorURI, "application/json", mostSector)
	if err != nil {
		return fault.At("sector_identifier_uri", "it cannot be fetched").Because(err)
	}
	var list []string
	if err := json.Unmarshal(text, &list); err != nil {
		return fault.At("sector_identifier_uri", "there is no list of URIs in JSON").Because(err)
	}
	for _, uri := range c.RedirectURIs {
		if !slices.Contains(list, uri) {
			return fault.At("sector_identifier_uri", "the list there lacks a redirect URI of the client")
		}
	}
	return nil
}
