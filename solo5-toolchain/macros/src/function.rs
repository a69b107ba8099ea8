//! What the attributes have to know of a function.

use proc_macro::{Ident, Span, TokenStream, TokenTree};

use crate::error;

/// A function with an attribute.
pub(crate) struct Function {
    /// Its name.
    pub(crate) name: Ident,
    /// All of it, but for the attributes below.
    pub(crate) item: TokenStream,
    /// What it means that it panics.
    pub(crate) panic: Panic,
    /// `#[ignore]`, with its reason, a literal.
    pub(crate) ignored: Option<Option<String>>,
}

/// What a panic means.
pub(crate) enum Panic {
    /// The test fails.
    Fails,
    /// The test passes, if the message has this in it, a literal.
    Wanted(Option<String>),
}

impl Panic {
    pub(crate) fn is_default(&self) -> bool {
        matches!(self, Self::Fails)
    }
}

impl Function {
    /// Looks at an item with the attribute of this name.
    ///
    /// # Errors
    ///
    /// Code that tells the user why not.
    pub(crate) fn find(
        attribute: &str,
        arguments: &TokenStream,
        item: TokenStream,
    ) -> Result<Self, TokenStream> {
        if let Some(argument) = arguments.clone().into_iter().next() {
            let text = format!("#[{attribute}] takes no arguments");
            return Err(error(argument.span(), &text));
        }
        let mut kept = TokenStream::new();
        let (mut panic, mut ignored) = (Panic::Fails, None);
        let (mut name, mut after_fn) = (None, false);
        let mut tokens = item.into_iter().peekable();
        while let Some(token) = tokens.next() {
            // Attributes stand in front of the function, never inside of what is seen here.
            if is_punct(&token, '#')
                && let Some(TokenTree::Group(group)) = tokens.peek()
            {
                let content: Vec<TokenTree> = group.stream().into_iter().collect();
                match content.first().map(ToString::to_string).as_deref() {
                    Some("ignore") => ignored = Some(literal(&content)),
                    Some("should_panic") => panic = Panic::Wanted(literal(&content)),
                    _ => {
                        kept.extend([token]);
                        continue;
                    }
                }
                tokens.next();
                continue;
            }
            if let TokenTree::Ident(ident) = &token
                && name.is_none()
            {
                if after_fn {
                    name = Some(ident.clone());
                }
                after_fn = ident.to_string() == "fn";
            }
            kept.extend([token]);
        }
        let Some(name) = name else {
            let text = format!("#[{attribute}] is for functions");
            return Err(error(Span::call_site(), &text));
        };
        Ok(Self {
            name,
            item: kept,
            panic,
            ignored,
        })
    }
}

fn is_punct(token: &TokenTree, wanted: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == wanted)
}

/// The literal in `name = "..."`, or in `name(expected = "...")`.
fn literal(content: &[TokenTree]) -> Option<String> {
    content.iter().find_map(|token| match token {
        TokenTree::Literal(literal) => Some(literal.to_string()),
        TokenTree::Group(group) => literal(&group.stream().into_iter().collect::<Vec<_>>()),
        _ => None,
    })
}
