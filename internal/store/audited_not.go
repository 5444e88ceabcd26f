//go:build noaudit

package store

const audited = false
