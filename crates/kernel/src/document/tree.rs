//! A document before its shape is known. Unlike a JSON value it keeps keys that stand twice, so that they can be told.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::options::DuplicateKeyPolicy;

use crate::finding::Finding;

/// A value as it was written.
#[derive(Debug, Clone, PartialEq)]
pub enum Tree {
    /// Nothing.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i128),
    /// A number with a fraction.
    Float(f64),
    /// Text.
    Text(String),
    /// A list.
    List(Vec<Tree>),
    /// A map, with keys in the order they were written.
    Map(Vec<(String, Tree)>),
}

/// Deepest nesting of a document.
const DEPTH_MAX: usize = 32;

/// Reads JSON where the text begins like JSON, else YAML.
pub fn parse(text: &str) -> Result<Tree, Vec<Finding>> {
    let syntax = |message: String| vec![Finding::error("document.syntax", "", message)];
    let tree: Tree = if text.trim_start().starts_with('{') {
        serde_json::from_str(text).map_err(|error| syntax(format!("this is not JSON: {error}")))?
    } else {
        let options =
            serde_saphyr::options! { duplicate_keys: DuplicateKeyPolicy::PassThrough, strict_booleans: true };
        serde_saphyr::from_str_with_options(text, options)
            .map_err(|error| syntax(format!("this is not YAML: {}", first_line(&error.to_string()))))?
    };
    if tree.depth() > DEPTH_MAX {
        return Err(syntax(format!("the document nests deeper than {DEPTH_MAX}")));
    }
    Ok(tree)
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

impl Tree {
    fn depth(&self) -> usize {
        match self {
            Self::List(items) => 1 + items.iter().map(Self::depth).max().unwrap_or(0),
            Self::Map(entries) => 1 + entries.iter().map(|(_, tree)| tree.depth()).max().unwrap_or(0),
            Self::Null | Self::Bool(_) | Self::Int(_) | Self::Float(_) | Self::Text(_) => 0,
        }
    }

    /// What kind of value this is, in words.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "true or false",
            Self::Int(_) => "a whole number",
            Self::Float(_) => "a number with a fraction",
            Self::Text(_) => "text",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
        }
    }

    /// The same as JSON.
    pub fn into_json(self) -> serde_json::Value {
        match self {
            Self::Null => serde_json::Value::Null,
            Self::Bool(bool) => bool.into(),
            Self::Int(int) => i64::try_from(int)
                .map(serde_json::Value::from)
                .or_else(|_| u64::try_from(int).map(serde_json::Value::from))
                .unwrap_or(serde_json::Value::Null),
            Self::Float(float) => float.into(),
            Self::Text(text) => text.into(),
            Self::List(items) => items.into_iter().map(Self::into_json).collect(),
            Self::Map(entries) => entries.into_iter().map(|(key, tree)| (key, tree.into_json())).collect(),
        }
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Builder)
    }
}

struct Builder;

impl<'de> Visitor<'de> for Builder {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a document")
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_none<E>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Tree, D::Error> {
        Tree::deserialize(deserializer)
    }

    fn visit_bool<E>(self, bool: bool) -> Result<Tree, E> {
        Ok(Tree::Bool(bool))
    }

    fn visit_i64<E>(self, int: i64) -> Result<Tree, E> {
        Ok(Tree::Int(int.into()))
    }

    fn visit_u64<E>(self, int: u64) -> Result<Tree, E> {
        Ok(Tree::Int(int.into()))
    }

    fn visit_i128<E>(self, int: i128) -> Result<Tree, E> {
        Ok(Tree::Int(int))
    }

    fn visit_u128<E>(self, int: u128) -> Result<Tree, E> {
        Ok(i128::try_from(int).map_or(Tree::Float(f64::INFINITY), Tree::Int))
    }

    fn visit_f64<E>(self, float: f64) -> Result<Tree, E> {
        Ok(Tree::Float(float))
    }

    fn visit_str<E>(self, text: &str) -> Result<Tree, E> {
        Ok(Tree::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Tree, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Tree::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Tree, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = access.next_entry()? {
            entries.push(entry);
        }
        Ok(Tree::Map(entries))
    }
}
