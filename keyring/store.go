// SPDX-License-Identifier: GPL-3.0-or-later

package keyring

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"usbagent/internal/durable"
	"usbagent/signature"
)

// LockWait is how long a change waits for one by another process.
const LockWait = 5 * time.Second

// ErrNothingKept is wrapped by the errors of Restore and Repair when there is
// no kept keyring that could be brought back.
var ErrNothingKept = errors.New("no previous or factory keyring is kept")

// Store is the installed keyring at one path, normally a symbolic link to the
// vendor's CA, and what is kept beside it:
//
//	keyring.pem           what verification reads
//	keyring.pem.previous  what was there before the last change
//	keyring.pem.factory   what was there before the first change
//
// A link is kept as a link. Nothing but Restore and Repair reads what is kept.
// Methods may be called concurrently, and by several processes.
type Store struct {
	path string
}

// Change says what Install, Restore or Repair did.
type Change struct {
	Changed bool
	From    string // what is installed now: the name of the verified file, or the path of the kept one
	Before  []signature.Fingerprint
	After   []signature.Fingerprint
}

// Open names the keyring at path. Nothing is read.
func Open(path string) *Store { return &Store{path} }

// Previous is where Restore finds the keyring before the last change.
func (s *Store) Previous() string { return s.path + ".previous" }

// Factory is where the first keyring ever is kept.
func (s *Store) Factory() string { return s.path + ".factory" }

// coming is a Previous that counts once the change it belongs to is made.
func (s *Store) coming() string { return s.path + ".previous.new" }

// Installed reads the keyring anew, following the vendor's link. It refuses
// one that somebody else than root could have written (durable.ErrExposed),
// one that is no regular file, is too large or has a broken block.
func (s *Store) Installed() (*signature.Keyring, error) {
	k, err := load(s.path)
	return k, readable(s.path, err)
}

// Install replaces the keyring by the verified bytes of v, which Check has
// parsed as k: a regular file of mode 0644. Where the installed keyring has
// the same certificates and revocations nothing is written. When Install returns an
// error, the old keyring is in force; when it returns nil, the new one is, and
// survives a power cut from then on.
func (s *Store) Install(v *signature.Verified, k *signature.Keyring) (Change, error) {
	c, err := s.install(v, k)
	if err != nil {
		return c, fmt.Errorf("install keyring: %w", err)
	}
	return c, nil
}

func (s *Store) install(v *signature.Verified, k *signature.Keyring) (Change, error) {
	same, err := keyringOf(v.Bytes())
	if err != nil {
		return Change{}, err
	}
	if !alike(same, k) {
		return Change{}, errors.New("the keyring that was checked is not the one that was verified")
	}
	unlock, err := s.lock()
	if err != nil {
		return Change{}, err
	}
	defer unlock()
	old, err := s.Installed()
	if err != nil {
		return Change{}, err
	}
	c := Change{From: v.Name(), Before: fingerprints(old), After: fingerprints(k)}
	if alike(old, k) {
		return c, nil
	}
	if err := s.replace(object{data: v.Bytes()}, k); err != nil {
		c.After = c.Before
		return c, err
	}
	c.Changed = true
	return c, nil
}

// Restore swaps the keyring with the previous one, so that a second Restore
// undoes the first. Without a previous one that can be used, or when it is
// what is installed, the factory's comes back. The error wraps ErrNothingKept
// when there is neither. What holds for errors of Install holds here.
func (s *Store) Restore() (Change, error) {
	c, err := s.restore()
	if err != nil {
		return c, fmt.Errorf("restore keyring: %w", err)
	}
	return c, nil
}

func (s *Store) restore() (Change, error) {
	unlock, err := s.lock()
	if err != nil {
		return Change{}, err
	}
	defer unlock()
	old, err := s.Installed()
	if err != nil {
		old = nil // that is what Restore is for
	}
	c := Change{Before: fingerprints(old), After: fingerprints(old)}
	now, err := s.current()
	if err != nil {
		return c, err
	}
	kept, k, from, err := s.kept(now)
	if err != nil {
		return c, err
	}
	if err := s.replace(kept, k); err != nil {
		return c, err
	}
	c.Changed, c.From, c.After = true, from, fingerprints(k)
	return c, nil
}

// current returns what stands at the path, or the empty object when that is
// nothing worth keeping: no file, a blank one, or no file at all but a FIFO, say.
// That it cannot be read is an error.
func (s *Store) current() (object, error) {
	o, err := read(s.path)
	switch {
	case err == nil && !o.blank():
		return o, nil
	case err == nil, errors.Is(err, fs.ErrNotExist), errors.Is(err, durable.ErrIrregular), errors.Is(err, durable.ErrTooLarge):
		return object{}, nil
	}
	return object{}, err
}

// kept finds the keyring that replaces now: the previous one, or, where that
// is missing, the same, or of no use, the factory's.
func (s *Store) kept(now object) (object, *signature.Keyring, string, error) {
	why := ErrNothingKept
	for _, path := range []string{s.Previous(), s.Factory()} {
		o, err := read(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil && o.equal(now) {
			why = fmt.Errorf("%w that differs from the installed one", why)
			continue
		}
		var k *signature.Keyring
		if err == nil {
			k, err = load(path)
		}
		if err == nil {
			return o, k, path, nil
		}
		why = fmt.Errorf("%w (%s: %w)", why, path, err)
	}
	return object{}, nil, "", why
}

// Repair puts things in order at start: it finishes or undoes a change that a
// power cut interrupted, removes temporary files, and, where an earlier tool
// left no file or an empty one (also one of zeros), brings the previous or the
// factory's keyring back. A symbolic link is left alone, wherever it leads.
// The error wraps ErrNothingKept when there is nothing to bring back.
func (s *Store) Repair() (Change, error) {
	c, err := s.repair()
	if err != nil {
		return c, fmt.Errorf("repair keyring: %w", err)
	}
	return c, nil
}

func (s *Store) repair() (Change, error) {
	if !s.untidy() { // writes nothing where nothing is to be done
		return Change{}, nil
	}
	unlock, err := s.lock()
	if err != nil {
		return Change{}, err
	}
	defer unlock()
	if now, err := read(s.path); err == nil && !now.blank() {
		return Change{}, nil
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Change{}, err
	}
	o, k, from, err := s.kept(object{})
	if err != nil {
		return Change{}, fmt.Errorf("%s is missing or empty: %w", s.path, err)
	}
	if err := o.write(s.path); err != nil {
		return Change{}, err
	}
	return Change{Changed: true, From: from, After: fingerprints(k)}, nil
}

// untidy tells whether Repair has something to do.
func (s *Store) untidy() bool {
	if _, err := os.Lstat(s.coming()); err == nil {
		return true
	}
	stale, _ := filepath.Glob(filepath.Join(filepath.Dir(s.path), durable.TemporaryPrefix+filepath.Base(s.path)+".*"))
	now, err := read(s.path)
	return len(stale) > 0 || err != nil || now.blank()
}

// lock excludes other changes and makes the place ready for one: nobody else
// can change the directory, and nothing is half done.
func (s *Store) lock() (unlock func(), err error) {
	dir := filepath.Dir(s.path)
	if err := durable.CheckDir(dir); err != nil {
		return nil, err
	}
	unlock, err = durable.Lock(filepath.Join(dir, durable.TemporaryPrefix+"lock-"+filepath.Base(s.path)), LockWait)
	if err != nil {
		return nil, err
	}
	durable.RemoveStale(s.path)
	if err := s.settle(); err != nil {
		unlock()
		return nil, err
	}
	return unlock, nil
}

// settle finishes or undoes what a power cut interrupted: where the installed
// keyring is still the one that was about to become the previous one, nothing
// happened yet; where it is another, the change was made.
func (s *Store) settle() error {
	coming, err := read(s.coming())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	now, err := s.current()
	if err != nil {
		return err
	}
	if now.equal(coming) {
		err = os.Remove(s.coming())
	} else {
		err = os.Rename(s.coming(), s.Previous())
	}
	return errors.Join(err, durable.SyncDir(filepath.Dir(s.path)))
}

// replace makes o, which parses as k, the keyring, and what is there now the
// previous one. Each step is durable before the next, so that at every instant
// the path has the whole old or the whole new one, and the previous one is not
// given up before the new one is in force. After an error the old is in force.
func (s *Store) replace(o object, k *signature.Keyring) error {
	old, err := s.current()
	if err != nil {
		return err
	}
	if old.blank() {
		if err := o.write(s.path); err != nil {
			return err
		}
		return s.prove(k)
	}
	if err := s.keepFactory(old); err != nil {
		return err
	}
	if err := old.write(s.coming()); err != nil {
		os.Remove(s.coming())
		return err
	}
	err = o.write(s.path)
	if err == nil {
		err = s.prove(k)
	}
	if err == nil {
		err = os.Rename(s.coming(), s.Previous())
	}
	if err != nil {
		return s.takeBack(old, err)
	}
	durable.SyncDir(filepath.Dir(s.path)) // without it, settle repeats the renaming
	return nil
}

// prove reads back what was written.
func (s *Store) prove(k *signature.Keyring) error {
	now, err := s.Installed()
	if err == nil && !alike(now, k) {
		err = errors.New("what was written reads back differently")
	}
	return err
}

// takeBack puts old in force again after a change that did not succeed for
// the reason why, and returns why.
func (s *Store) takeBack(old object, why error) error {
	now, err := read(s.path)
	if err != nil || !now.equal(old) {
		if err := old.write(s.path); err != nil {
			return fmt.Errorf("%w; and the old keyring could not be put back: %w", why, err)
		}
	}
	os.Remove(s.coming())
	return why
}

// keepFactory keeps old as the factory's keyring, once.
func (s *Store) keepFactory(old object) error {
	if _, err := os.Lstat(s.Factory()); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return old.write(s.Factory())
}

// alike tells whether two keyrings have the same certificates and revocations.
func alike(a, b *signature.Keyring) bool {
	if !a.Equal(b) {
		return false
	}
	added, missing := a.Revocations(b)
	return added == 0 && missing == 0
}

func fingerprints(k *signature.Keyring) []signature.Fingerprint {
	if k == nil {
		return nil
	}
	certs := k.Certificates()
	list := make([]signature.Fingerprint, len(certs))
	for i := range certs {
		list[i] = certs[i].Fingerprint
	}
	return list
}
