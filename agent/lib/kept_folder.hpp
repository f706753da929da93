// SPDX-License-Identifier: GPL-2.0-only
// A folder of /sys that is read again and again: its files stay open, so that reading one is one
// system call. An open file of sysfs keeps neither its object nor a module there.
#pragma once

#include "lib/fd.hpp"
#include "lib/file.hpp"

#include <map>
#include <string>
#include <sys/types.h>
#include <utility>
#include <vector>

namespace itme {

class KeptFolder {
public:
	// Keeps so many files open at most, and reads the others by their names.
	KeptFolder(Path path, std::size_t most) : path_(std::move(path)), most_(most) {}

	// As read_lines(): the first 4095 bytes of each line. A folder that was removed and
	// made again is another one. Its files are those of the first time.
	[[nodiscard]] std::map<std::string, std::string> lines();

	[[nodiscard]] std::size_t files() const { return open_.size(); }

private:
	void open(dev_t device, ino_t inode);

	Path path_;
	std::size_t most_;
	dev_t device_ = 0; // and inode: the folder whose files these are
	ino_t inode_ = 0;
	std::vector<std::pair<std::string, Fd>> open_;
	std::vector<std::string> others_;
};

} // namespace itme
