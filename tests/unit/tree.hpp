// SPDX-License-Identifier: GPL-2.0-only
// A made-up folder tree for one test, removed with it.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <string>

class Tree {
public:
	Tree()
	{
		std::string path = testing::TempDir() + "itme-unit-XXXXXX";

		if (!mkdtemp(path.data()))
			ADD_FAILURE() << "mkdtemp " << path;
		root_ = path;
	}
	Tree(const Tree &) = delete;
	Tree &operator=(const Tree &) = delete;
	~Tree()
	{
		std::error_code ec;
		std::filesystem::remove_all(root_, ec);
	}

	[[nodiscard]] const std::filesystem::path &root() const { return root_; }

	void folder(const std::string &path) { std::filesystem::create_directories(root_ / path); }

	void file(const std::string &path, const std::string &text)
	{
		folder(std::filesystem::path(path).parent_path());
		std::ofstream{root_ / path} << text;
	}

	void link(const std::string &path, const std::string &target)
	{
		folder(std::filesystem::path(path).parent_path());
		std::filesystem::create_symlink(target, root_ / path);
	}

private:
	std::filesystem::path root_;
};
