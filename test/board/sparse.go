// SPDX-License-Identifier: GPL-3.0-or-later

package board

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// copySparse copies a regular file and keeps its holes: cards and sticks are
// mostly holes, and a test copies them often.
func copySparse(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	out, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	err = copyData(out, in, 0, info.Size())
	if err == nil {
		err = out.Truncate(info.Size())
	}
	if err = errors.Join(err, out.Close()); err != nil {
		return fmt.Errorf("copy %s: %w", from, err)
	}
	return nil
}

// copyData copies the parts of in that hold data to out at shift bytes further.
func copyData(out, in *os.File, shift, size int64) error {
	for at := int64(0); at < size; {
		data, err := unix.Seek(int(in.Fd()), at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			return nil
		}
		if err != nil {
			return err
		}
		hole, err := unix.Seek(int(in.Fd()), data, unix.SEEK_HOLE)
		if err != nil {
			return err
		}
		section := io.NewSectionReader(in, data, hole-data)
		if _, err := io.Copy(io.NewOffsetWriter(out, data+shift), section); err != nil {
			return err
		}
		at = hole
	}
	return nil
}

// insert copies the file from into the file image at offset bytes.
func insert(image, from string, offset int64) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	out, err := os.OpenFile(image, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	return errors.Join(copyData(out, in, offset, info.Size()), out.Close())
}

// extract copies size bytes at offset of image to the new file to.
func extract(to, image string, offset, size int64) error {
	in, err := os.Open(image)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	for at := offset; err == nil && at < offset+size; {
		var data, hole int64
		if data, err = unix.Seek(int(in.Fd()), at, unix.SEEK_DATA); errors.Is(err, unix.ENXIO) {
			err = nil
			break
		}
		if err == nil {
			hole, err = unix.Seek(int(in.Fd()), data, unix.SEEK_HOLE)
		}
		if end := offset + size; err == nil && data < end {
			_, err = io.Copy(io.NewOffsetWriter(out, data-offset), io.NewSectionReader(in, data, min(hole, end)-data))
		}
		at = hole
	}
	if err == nil {
		err = out.Truncate(size)
	}
	return errors.Join(err, out.Close())
}

// makeSparse makes an empty file of size bytes.
func makeSparse(path string, size int64) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Truncate(size), f.Close())
}
