// SPDX-License-Identifier: GPL-3.0-or-later

// Package spelling tells how far a word is from one that may have been meant:
// a key of the configuration, a name on a stick, a command.
package spelling

// Near is the number of wrong letters up to which a word was probably meant.
const Near = 2

// Distance is the number of bytes to insert, delete or replace to make b of a
// (Levenshtein), or Near+1 where that is more than Near. It takes len(a)*len(b)
// steps at most, and none where the lengths tell already.
func Distance(a, b string) int {
	if len(a) > len(b)+Near || len(b) > len(a)+Near {
		return Near + 1
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		corner := row[0]
		row[0] = i + 1
		for j := range len(b) {
			next := min(row[j], row[j+1]) + 1
			if a[i] == b[j] {
				next = min(next, corner)
			} else {
				next = min(next, corner+1)
			}
			corner, row[j+1] = row[j+1], next
		}
	}
	return min(row[len(b)], Near+1)
}
