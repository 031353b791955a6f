//! The picture that viewers see while the source gives none: a title ("NO SIGNAL") and why, in words.

use super::{
    font,
    picture::{Picture, Yuv},
};

/// Lines of explanation at most; more would be too small to read.
const MAX_LINES: usize = 6;

/// Draws the still. The title fits the width up to 14 characters; the words are broken into lines that fit the width.
pub fn draw(width: u32, height: u32, title: &str, words: &str) -> Picture {
    let mut picture = Picture::new(width, height, Yuv::GREY);
    let (width, height) = (picture.width(), picture.height());
    let big = (width / (font::ADVANCE * 14)).max(1);
    let small = (width / (font::ADVANCE * 42)).max(1);
    let title_width = title.len() * font::ADVANCE * big;
    let mut top = height / 3;
    picture.text(width.saturating_sub(title_width) / 2, top, big, title, 235);
    top += (font::HEIGHT + 3) * big;
    for line in wrap(words, (width / (font::ADVANCE * small)).saturating_sub(2)).iter().take(MAX_LINES) {
        let line_width = line.chars().count() * font::ADVANCE * small;
        picture.text(width.saturating_sub(line_width) / 2, top, small, line, 200);
        top += (font::HEIGHT + 2) * small;
    }
    picture
}

/// Breaks words into lines of at most `columns` characters; a longer word is cut.
fn wrap(words: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(1);
    let mut lines: Vec<String> = vec![String::new()];
    for word in words.split_whitespace() {
        let chars: Vec<char> = word.chars().collect();
        for piece in chars.chunks(columns) {
            let piece: String = piece.iter().collect();
            match lines.last_mut() {
                Some(line) if line.is_empty() => *line = piece,
                Some(line) if line.chars().count() + 1 + piece.chars().count() <= columns => {
                    line.push(' ');
                    line.push_str(&piece);
                }
                _ => lines.push(piece),
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_wrapped_at_the_edge_and_long_ones_are_cut() {
        assert_eq!(wrap("camera is unplugged", 9), ["camera is", "unplugged"]);
        assert_eq!(wrap("abcdefghij k", 4), ["abcd", "efgh", "ij k"]);
    }

    #[test]
    fn the_still_shows_different_pictures_for_different_reasons() {
        let unplugged = draw(320, 180, "NO SIGNAL", "camera unplugged");
        assert_ne!(unplugged.luma(), draw(320, 180, "NO SIGNAL", "file unreadable").luma());
        assert!(unplugged.luma().contains(&235), "the title is drawn");
    }

    #[test]
    fn tiny_and_huge_sizes_are_drawn() {
        for (width, height) in [(16, 16), (320, 180), (1920, 1080)] {
            assert_eq!(draw(width, height, "NO SIGNAL", "x").width(), width as usize);
        }
    }
}
