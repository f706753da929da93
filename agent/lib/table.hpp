// SPDX-License-Identifier: GPL-2.0-only
#pragma once

#include <iosfwd>
#include <string>
#include <vector>

namespace itme {

// Text in columns under one line of headings. A heading that begins with '>'
// makes a column of figures, set to the right.
class Table {
public:
	explicit Table(std::vector<std::string> headings);

	// One cell for each heading.
	void add(std::vector<std::string> cells);
	[[nodiscard]] bool empty() const { return rows_.size() <= 1; }
	void print(std::ostream &out) const;

private:
	std::vector<bool> right_;
	std::vector<std::vector<std::string>> rows_;
};

// Text of a name that comes from outside: control characters as \xNN, so that
// it cannot steer a terminal or break a line.
[[nodiscard]] std::string printable(const std::string &text);

} // namespace itme
