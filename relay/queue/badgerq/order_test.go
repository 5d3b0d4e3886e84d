package badgerq

import "testing"

// Badger compacts level 0 into itself from four tables on, and then sorts it by key. Which of two equal versions is newer would be lost.
func TestLevelZeroIsTooShortToBeCompactedIntoItself(t *testing.T) {
	r := startRig(t, nil)
	if o := r.q.db.Opts(); o.NumLevelZeroTablesStall >= 4 || o.NumVersionsToKeep != 1 || o.DetectConflicts {
		t.Errorf("level 0 may have %d tables, versions to keep %d", o.NumLevelZeroTablesStall, o.NumVersionsToKeep)
	}
}
