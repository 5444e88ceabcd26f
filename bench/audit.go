package main

import "fmt"

// audited is the path that the audit log costs most: one event for each request.
const audited = "refresh"

// auditCosts is how much of the throughput the audit log may cost.
const auditCosts = 0.15

// auditTable holds refreshes against those of the same build without the audit
// log: no event is written, and there is no tree.
func (b *bench) auditTable() string {
	t := table{{"", "database", "req/s", "without", "costs", "CPU-ms", "without", "p99 ms", "without", "target", ""}}
	for _, r := range b.rows {
		for _, bare := range b.rows {
			if r.subject.name != audited || r.site.bare || !bare.site.bare || bare.site.db != r.site.db {
				continue
			}
			with, without := median(r.rounds), median(bare.rounds)
			costs := 1 - (&row{rounds: r.rounds, floor: bare}).ratio(rateOf)
			t = append(t, []string{
				"`" + audited + "`", r.site.db, rate(with.Rate), rate(without.Rate), fmt.Sprintf("%.0f %%", 100*costs), ms(with.CPU, 3), ms(without.CPU, 3),
				ms(with.P99, 2), ms(without.P99, 2), fmt.Sprintf("≤ %.0f %%", 100*auditCosts), word(true, costs <= auditCosts),
			})
		}
	}
	return t.String()
}
