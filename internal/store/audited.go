//go:build !noaudit

package store

// audited: events are kept. The other value exists for a build that no operator
// has, which the benchmark makes to see what the log costs.
const audited = true
