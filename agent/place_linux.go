// SPDX-License-Identifier: GPL-3.0-or-later

package agent

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"usbagent/installer"
	"usbagent/internal/logs"
)

// place puts the image where the device cannot change it any more, or returns
// its path on the stick where that makes no difference (installer.MustStage),
// which it may for an installer that is bound to the manifest, where bind
// allows that.
func (a *Agent) place(ctx context.Context, s *stick, i *image, bind bool) (path string, o installer.InstallOptions, remove func(), err error) {
	facts := installer.StageFacts{Direct: installer.Direct(a.Config.Installer.Direct), Format: i.info.Format}
	facts.Conf, _ = installer.ReadSystemConf(a.RAUCConf)
	if facts.Format != installer.Verity && facts.Format != installer.Crypt {
		facts.Location = location(i.file) // which reads all of a FAT, to count what is free
	}
	if i.bundle != nil && i.bundle.Manifest != nil {
		sum := sha256.Sum256(i.bundle.Manifest)
		o.ManifestHash = hex.EncodeToString(sum[:])
		facts.Binds = bind && a.Images.BindsManifest(ctx)
	}
	if !facts.Binds {
		o.ManifestHash = ""
	}
	must, why := installer.MustStage(facts)
	if !must {
		s.log.Info("the installer reads the image from the stick", logs.String("file", Show(i.name)), logs.String("reason", why))
		return filepath.Join(i.volume.target, i.name), o, func() {}, nil
	}
	s.log.Info("the image is copied first", logs.String("file", Show(i.name)), logs.String("size", Bytes(i.size)), logs.String("reason", why))
	ctx, cancel := s.within(ctx)
	defer cancel()
	staged, err := installer.Stage(ctx, a.stageRequest(s, i))
	if err != nil {
		return "", o, nil, err
	}
	if i.id == "" {
		i.id = hex.EncodeToString(staged.SHA256[:])
		i.past, _ = a.Ledger.ImageByID(i.id)
	}
	remove = func() {
		if err := staged.Remove(); err != nil {
			s.log.Warn("private copy could not be removed", logs.Error(err))
		}
	}
	return staged.Path, o, remove, nil
}

func (a *Agent) stageRequest(s *stick, i *image) installer.StageRequest {
	told := time.Now()
	r := installer.StageRequest{
		Source: i.file, Size: i.size, Dir: a.stagingDir(), Trailer: i.trailer,
		Progress: func(done, size int64) {
			if time.Since(told) >= installer.ProgressInterval {
				told = time.Now()
				a.showProgress(int(done*100/max(size, 1)), "copying "+Show(i.name))
			}
		},
	}
	if i.bundle != nil && i.bundle.Manifest == nil {
		r.Hash, r.Sum = i.bundle.Hash, i.bundle.Sum
	}
	return r
}

// stagingDir holds the private copies of images.
func (a *Agent) stagingDir() string { return filepath.Join(a.StateDir, "staging") }

// location tells what RAUC minds about the place of a file.
func location(f *os.File) installer.Location {
	var st unix.Stat_t
	var fs unix.Statfs_t
	l := installer.Location{}
	if unix.Fstat(int(f.Fd()), &st) == nil {
		l.UID, l.Mode = st.Uid, os.FileMode(st.Mode&0o7777)
	}
	if unix.Fstatfs(int(f.Fd()), &fs) == nil {
		l.FUSE = uint32(fs.Type) == unix.FUSE_SUPER_MAGIC
	}
	return l
}
