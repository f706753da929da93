// SPDX-License-Identifier: GPL-2.0-only
#include "lib/table.hpp"

#include <algorithm>
#include <cstdio>
#include <ostream>

namespace itme {

namespace {

// Characters, not bytes, of UTF-8 text.
std::size_t width(const std::string &text)
{
	return static_cast<std::size_t>(std::ranges::count_if(
		text, [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

} // namespace

Table::Table(std::vector<std::string> headings)
{
	for (auto &heading : headings) {
		right_.push_back(heading.starts_with('>'));
		if (right_.back())
			heading.erase(0, 1);
	}
	rows_.push_back(std::move(headings));
}

void Table::add(std::vector<std::string> cells)
{
	cells.resize(right_.size());
	for (auto &cell : cells)
		cell = printable(cell);
	rows_.push_back(std::move(cells));
}

void Table::print(std::ostream &out) const
{
	std::vector<std::size_t> widths(right_.size());

	for (const auto &row : rows_)
		for (std::size_t i = 0; i < row.size(); i++)
			widths[i] = std::max(widths[i], width(row[i]));

	for (const auto &row : rows_) {
		std::string line;

		for (std::size_t i = 0; i < row.size(); i++) {
			const std::string pad(widths[i] - width(row[i]), ' ');

			if (i > 0)
				line += "  ";
			line += right_[i] ? pad + row[i] : row[i] + pad;
		}
		line.erase(line.find_last_not_of(' ') + 1);
		out << line << '\n';
	}
}

std::string printable(const std::string &text)
{
	std::string safe;

	for (const char c : text) {
		const auto byte = static_cast<unsigned char>(c);

		if (byte < 0x20 || byte == 0x7f) {
			char code[8];
			std::snprintf(code, sizeof(code), "\\x%02x", byte);
			safe += code;
		} else {
			safe += c;
		}
	}
	return safe;
}

} // namespace itme
